"""Events on objects, shown by `kubectl describe`.

Source: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

import hashlib
import json
import socket
from datetime import UTC, datetime

import structlog

from trustplane.api.meta import Json, Object
from trustplane.errors import TrustplaneError
from trustplane.kube.client import Client
from trustplane.kube.errors import AlreadyExistsError
from trustplane.kube.kinds import EVENTS
from trustplane.kube.resource import metadata_of
from trustplane.text import clean

NOTE_BYTES = 1024  # the API server refuses longer notes

log = structlog.get_logger(__name__)


class Recorder:
    """Writes Events; a repeated Event becomes a series with a count, also across restarts of this process.

    Args:
        client: to the API server of the objects.
        component: the reporting component, such as `trustplane.dev/trust`.
    """

    def __init__(self, client: Client, component: str) -> None:
        self._client = client
        self._component = component

    async def event(
        self, regarding: Object | Json, reason: str, message: str, *, warning: bool = False, action: str = "Reconcile"
    ) -> None:
        """Record an Event. A failure is logged and never raised: reporting must not fail the work it reports on.

        Args:
            regarding: the object.
            reason: one CamelCase word, for programs.
            message: for people: what happened, why, what to do next. No secrets.
            warning: whether the reader should act.
            action: the action in progress, in CamelCase.
        """
        body = event_body(
            regarding, self._component, reason=reason, note=message, warning=warning, action=action, now=_now()
        )
        try:
            await self._record(body)
        except TrustplaneError as error:
            log.warning("event not recorded", reason=reason, error=str(error))

    async def _record(self, body: Json) -> None:
        try:
            await self._client.create(EVENTS, body)
        except AlreadyExistsError:
            name, namespace = body["metadata"]["name"], body["metadata"]["namespace"]
            if event := await self._client.find(EVENTS, name, namespace):
                count = (event.get("series") or {}).get("count", 1) + 1
                series = {"count": count, "lastObservedTime": body["eventTime"]}
                await self._client.patch(EVENTS, name, namespace, {"series": series})


def event_body(
    regarding: Object | Json, component: str, *, reason: str, note: str, warning: bool, action: str, now: str
) -> Json:
    """Build an Event with a name derived from its content, which lets a repetition find the existing Event.

    Notes quote nodes, registries and objects of users; each note is sanitised here, just before it is written.
    """
    metadata = metadata_of(regarding)
    kind, version = (
        (regarding["kind"], regarding["apiVersion"])
        if isinstance(regarding, dict)
        else (regarding.kind, regarding.api_version)
    )
    type_ = "Warning" if warning else "Normal"
    note = clean(note, NOTE_BYTES - 2).encode()[:NOTE_BYTES].decode(errors="ignore")  # an ellipsis has 3 bytes
    identity = json.dumps([metadata.uid, component, type_, reason, action, note])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return {
        "metadata": {
            "name": f"{metadata.name[:200].rstrip('-.')}.{digest}",
            "namespace": metadata.namespace or "default",
        },
        "eventTime": now,
        "reportingController": component,
        "reportingInstance": socket.gethostname()[:128],
        "type": type_,
        "reason": reason,
        "action": action,
        "note": note,
        "regarding": {
            "apiVersion": version,
            "kind": kind,
            "name": metadata.name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
            "resourceVersion": metadata.resource_version,
        },
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
