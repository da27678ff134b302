"""A refused kubeconfig, as it is shown: a condition of the ClusterTrust, there while it is refused, and an Event."""

from datetime import UTC, datetime
from typing import Final

import structlog

from trustplane.api.clustertrust import KUBECONFIG_ACCEPTED, ClusterTrust
from trustplane.api.condition_merge import merge, to_json
from trustplane.api.conditions import FALSE
from trustplane.api.keys import Key
from trustplane.api.meta import Condition, Json, condition
from trustplane.errors import TrustplaneError
from trustplane.kube.client import Client
from trustplane.kube.errors import NotFoundError, RefusedAccessError
from trustplane.kube.events import Recorder
from trustplane.kube.kinds import CLUSTER_TRUSTS
from trustplane.text import clean

ACCESS_FIELD_MANAGER: Final = "trustplane-access"
KUBECONFIG_REFUSED: Final = "KubeconfigRefused"
_MESSAGE: Final = 600  # characters

_log = structlog.get_logger(__name__)


async def report_refused_access(client: Client, cluster: Key, error: RefusedAccessError) -> None:
    """Record why a cluster's kubeconfig is refused. It is a report: failing is logged and never raised."""
    try:
        await _record_refusal(client, cluster, clean(str(error), _MESSAGE))
    except TrustplaneError as failure:
        _log.warning("refusal not recorded", cluster=str(cluster), error=str(failure))


async def report_accepted_access(client: Client, cluster: Key) -> None:
    """Record that a cluster's kubeconfig is not refused any more.

    Raises:
        ApiError: That cannot be read, or written.
    """
    trust = await _trust(client, cluster)
    if trust and condition(trust.status.conditions, KUBECONFIG_ACCEPTED):
        await _apply(client, trust, [])


async def _trust(client: Client, cluster: Key) -> ClusterTrust | None:
    # Not a GET: the manager has the rights of a watch, and this needs no other.
    listed = await client.list(CLUSTER_TRUSTS, cluster.namespace, fields=f"metadata.name={cluster.name}")
    return listed[0] if listed else None


async def _record_refusal(client: Client, cluster: Key, message: str) -> None:
    trust = await _trust(client, cluster)
    if trust is None:
        return  # the next attempt finds it
    before = condition(trust.status.conditions, KUBECONFIG_ACCEPTED)
    if before and before.message == message:
        return
    new = Condition(type=KUBECONFIG_ACCEPTED, status=FALSE, reason=KUBECONFIG_REFUSED, message=message)
    now = datetime.now(UTC).replace(microsecond=0)
    await _apply(client, trust, to_json(merge(trust.status.conditions, [new], now)))
    await Recorder(client, "trustplane.dev/access").event(
        trust, KUBECONFIG_REFUSED, message, warning=True, action="Connect"
    )


async def _apply(client: Client, trust: ClusterTrust, conditions: list[Json]) -> None:
    metadata = {"name": trust.metadata.name, "namespace": trust.metadata.namespace}
    body = {"metadata": metadata, "status": {"conditions": conditions}}
    try:
        await client.apply(CLUSTER_TRUSTS, body, manager=ACCESS_FIELD_MANAGER, subresource="status")
    except NotFoundError:
        return  # deleted just now
