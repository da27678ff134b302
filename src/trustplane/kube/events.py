"""Events: what happened to an object, where `kubectl describe` shows it.

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
    """Writes Events; the same one again becomes a series with a count, also across restarts of this process.

    Args:
        client: to the API server that has the objects.
        component: who reports, such as `trustplane.dev/trust`.
    """

    def __init__(self, client: Client, component: str) -> None:
        self._client = client
        self._component = component

    async def event(
        self, regarding: Object | Json, reason: str, message: str, *, warning: bool = False, action: str = "Reconcile"
    ) -> None:
        """Record an event. It is a report, not a part of the work: failing is logged and never raised.

        Args:
            regarding: the object.
            reason: one word in CamelCase, for programs.
            message: for people: what, why, what to do next. No secrets.
            warning: whether somebody should act.
            action: what was being done, in CamelCase.
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
    """Build an Event whose name follows from what it says, so that saying it again finds it.

    Notes quote nodes, registries and objects of users: every one is made safe to show here, on its way out.
    """
    metadata = metadata_of(regarding)
    kind, version = (
        (regarding["kind"], regarding["apiVersion"])
        if isinstance(regarding, dict)
        else (regarding.kind, regarding.api_version)
    )
    type_ = "Warning" if warning else "Normal"
    note = clean(note, NOTE_BYTES - 2).encode()[:NOTE_BYTES].decode(errors="ignore")  # an ellipsis has 3 bytes
    said = json.dumps([metadata.uid, component, type_, reason, action, note])
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
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
