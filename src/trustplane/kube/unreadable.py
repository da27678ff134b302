"""Report unreadable objects as Events, shown by `kubectl describe`."""

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
_MAX_WAITING: Final = 1000  # queued reports; further ones are only logged
_NEXT_STEP: Final = "Trustplane does not act on it or its dependents until it is readable; correct the object"


class UnreadableReporter:
    """Records an Event on each object that an informer cannot decode.

    Args:
        client: to the API server of the objects.
    """

    def __init__(self, client: Client) -> None:
        self._recorder = Recorder(client, COMPONENT)
        self._waiting: asyncio.Queue[tuple[Resource[Any], Unreadable]] = asyncio.Queue(_MAX_WAITING)

    def sink(self, resource: Resource[Any]) -> Callable[[Unreadable], None]:
        """Return a non-blocking function that queues reports on objects of one kind."""

        def enqueue(entry: Unreadable) -> None:
            if not self._waiting.full():
                self._waiting.put_nowait((resource, entry))

        return enqueue

    async def run(self) -> None:
        """Record Events until cancelled."""
        while True:
            resource, entry = await self._waiting.get()
            if entry.identity.name and entry.identity.uid:
                message = f"This object cannot be read: {entry.why}. {_NEXT_STEP}"
                await self._recorder.event(_regarding(resource, entry), REASON, message, warning=True, action="Read")


def _regarding(resource: Resource[Any], entry: Unreadable) -> Json:
    namespace, name, uid, version = entry.identity
    metadata = {"namespace": namespace, "name": name, "uid": uid, "resourceVersion": version}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
