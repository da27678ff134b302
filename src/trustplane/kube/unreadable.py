"""Objects that cannot be read are told so, where `kubectl describe` shows it."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from trustplane.api.meta import Json
from trustplane.kube.client import Client
from trustplane.kube.events import Recorder
from trustplane.kube.informer import Unreadable
from trustplane.kube.resource import Resource

COMPONENT: Final = "trustplane.dev/informer"
REASON: Final = "Unreadable"
_MOST: Final = 1000  # reports that wait; the log has those beyond
_NEXT: Final = "Trustplane leaves it, and what depends on it, as it is; correct the object"


class UnreadableReporter:
    """Records an Event on each object that an informer cannot read.

    Args:
        client: To the API server that has the objects.
    """

    def __init__(self, client: Client) -> None:
        self._recorder = Recorder(client, COMPONENT)
        self._waiting: asyncio.Queue[tuple[Resource[Any], Unreadable]] = asyncio.Queue(_MOST)

    def taker(self, resource: Resource[Any]) -> Callable[[Unreadable], None]:
        """Return a function that takes reports of one kind's objects, and does not wait."""

        def take(found: Unreadable) -> None:
            if not self._waiting.full():
                self._waiting.put_nowait((resource, found))

        return take

    async def run(self) -> None:
        """Record until cancelled."""
        while True:
            resource, found = await self._waiting.get()
            if found.identity.name and found.identity.uid:
                message = f"This object cannot be read: {found.why}. {_NEXT}"
                await self._recorder.event(_regarding(resource, found), REASON, message, warning=True, action="Read")


def _regarding(resource: Resource[Any], found: Unreadable) -> Json:
    namespace, name, uid, version = found.identity
    metadata = {"namespace": namespace, "name": name, "uid": uid, "resourceVersion": version}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
