"""Write the boot set, Secret `<cluster>-trust`, and record the set in each machine's bootstrap data."""

import base64
from datetime import UTC, datetime
from typing import Final

from trustplane.api.clusterapi import Machine
from trustplane.api.clustertrust import BOOTSTRAP, TRUST_APPLIED, AppliedTrust
from trustplane.api.keys import Key, key_of
from trustplane.clusterapi import secret
from trustplane.errors import TransientError
from trustplane.fleet.view import ClusterState, FleetView
from trustplane.kube.client import Client
from trustplane.kube.errors import InvalidError, NotFoundError
from trustplane.kube.kinds import FIELD_MANAGER, MACHINES, SECRETS
from trustplane.kube.tasks import Pauses
from trustplane.trust import bundle, recorded
from trustplane.trust.entries import EMPTY_SET, TrustSet

_BATCH: Final = 20  # machines recorded per call: a large cluster must not delay its first results


class LostSetError(TransientError):
    """The content of a previously proven set is lost."""


async def write_boot_set(client: Client, view: FleetView, state: ClusterState, digest: str) -> None:
    """Make the set of that digest the boot set of a cluster.

    Raises:
        LostSetError: The content of the set is lost.
    """
    trust = await _content(view, state, digest)
    text = bundle.render_bundle(trust, bundle.bundle_budget_bytes(state.cluster.spec.infrastructure_ref.kind))
    body = secret.boot_secret(state.cluster, text)
    try:
        await client.apply(SECRETS, body, manager=FIELD_MANAGER)
    except InvalidError:  # a tenant made it immutable or changed its type: it must be deleted and created again
        metadata = (await client.get(SECRETS, body["metadata"]["name"], body["metadata"]["namespace"])).metadata
        await client.delete(SECRETS, metadata.name, metadata.namespace, uid=metadata.uid)
        await client.apply(SECRETS, body, manager=FIELD_MANAGER)


async def _content(view: FleetView, state: ClusterState, digest: str) -> TrustSet:
    if digest == state.sets.digest and state.sets.in_force is not None:
        return state.sets.in_force
    if digest == EMPTY_SET.digest:
        return EMPTY_SET
    metadata = state.cluster.metadata
    name = secret.set_secret_name(metadata.name, digest)
    stored = await view.find_secret(name, metadata.namespace)
    trust = secret.parse_set_of_digest(stored, digest) if stored else None
    if trust is None:
        raise LostSetError(
            f"Secret {name} with the last proven set cannot be read",
            why="It was deleted or replaced",
            next_step=f"New machines boot with Secret {secret.boot_secret_name(metadata.name)} as it is. "
            "Correct the trust list until the set in force is proven",
        )
    return trust


class BootRecorder:
    """Records the sets in machines' bootstrap data, which never changes during a machine's life.

    Args:
        client: Client of the management cluster.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._without_set: dict[
            Key, frozenset[str]
        ] = {}  # by cluster: uids of Machines without our set in their bootstrap data

    async def record(self, state: ClusterState) -> bool:
        """Record the set in the bootstrap data of machines without a record; return whether any was recorded."""
        key, nodes = key_of(state.cluster), {node.machine: node for node in state.nodes}
        uids = frozenset(machine.metadata.uid for machine in state.machines.values())
        strangers = self._without_set.get(key, frozenset()) & uids
        unknown = [
            machine
            for name, machine in state.machines.items()
            if _is_unknown(machine) and not nodes[name].digest and machine.metadata.uid not in strangers
        ]
        recorded_count, pauses = 0, Pauses()
        for machine in unknown:
            if await self._record(machine):
                recorded_count += 1
            else:
                strangers |= {machine.metadata.uid}
            if recorded_count == _BATCH:
                break
            await pauses.take()
        self._without_set[key] = strangers
        return recorded_count > 0

    def forget(self, cluster: Key) -> None:
        """Forget a deleted cluster."""
        self._without_set.pop(cluster, None)

    async def _record(self, machine: Machine) -> bool:
        metadata = machine.metadata
        stored = await self._client.find(SECRETS, machine.spec.bootstrap.data_secret_name, metadata.namespace)
        applied = _read_bootstrap_data(stored.data.get("value", "")) if stored else None
        if applied is None:
            return False
        body = {"metadata": {"annotations": {TRUST_APPLIED: recorded.encode_record(applied)}, "uid": metadata.uid}}
        try:
            await self._client.patch(MACHINES, metadata.name, metadata.namespace, body)
        except NotFoundError:
            return False
        return True


def _is_unknown(machine: Machine) -> bool:
    return bool(machine.spec.bootstrap.data_secret_name) and TRUST_APPLIED not in machine.metadata.annotations


def _read_bootstrap_data(value: str) -> AppliedTrust | None:
    """Return the trust that bootstrap data applies; None without our set."""
    try:
        data = base64.b64decode(value)
    except ValueError:
        return None
    digest = bundle.find_bundle_digest(data)
    if digest is None:
        return None
    return AppliedTrust(
        digest=digest,
        at=datetime.now(UTC),
        method=BOOTSTRAP,
        is_partial=bundle.has_partial_bundle(data),
        booted=digest,
    )
