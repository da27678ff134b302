"""What machines boot with: the Secret `<cluster>-trust`, and which set a machine's own bootstrap data has."""

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
from trustplane.trust.entries import EMPTY, TrustSet

_BATCH: Final = 20  # machines that are recorded in one go, so that the first ones of a large cluster are known soon


class LostSetError(TransientError):
    """The content of a set that was proven before is gone."""


async def write_boot_set(client: Client, view: FleetView, seen: ClusterState, digest: str) -> None:
    """Let new machines of a cluster boot with the set of that digest.

    Raises:
        LostSetError: The content of the set is not known.
    """
    trust = await _content(view, seen, digest)
    text = bundle.render(trust, bundle.budget_of(seen.cluster.spec.infrastructure_ref.kind))
    body = secret.boot_secret(seen.cluster, text)
    try:
        await client.apply(SECRETS, body, manager=FIELD_MANAGER)
    except InvalidError:  # somebody has made it immutable, or of another type: it can only be made anew
        found = await client.get(SECRETS, body["metadata"]["name"], body["metadata"]["namespace"])
        await client.delete(SECRETS, found.metadata.name, found.metadata.namespace, uid=found.metadata.uid)
        await client.apply(SECRETS, body, manager=FIELD_MANAGER)


async def _content(view: FleetView, seen: ClusterState, digest: str) -> TrustSet:
    if digest == seen.sets.digest and seen.sets.in_force is not None:
        return seen.sets.in_force
    if digest == EMPTY.digest:
        return EMPTY
    metadata = seen.cluster.metadata
    name = secret.set_secret_name(metadata.name, digest)
    found = await view.find_secret(name, metadata.namespace)
    trust = secret.parse_set_of_digest(found, digest) if found else None
    if trust is None:
        raise LostSetError(
            f"Secret {name}, which has the set that was proven last, cannot be read",
            why="somebody deleted or replaced it",
            next_step="New machines boot with what Secret "
            f"{secret.boot_secret_name(metadata.name)} has. Correct the trust list, so that the set in force is proven",
        )
    return trust


class BootRecorder:
    """What machines were born with, as their bootstrap data says: it is made once, and stays as long as the machine.

    Args:
        client: To the management cluster.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._without_set: dict[Key, frozenset[str]] = {}  # by cluster: uids of Machines whose data has no set of ours

    async def record(self, seen: ClusterState) -> bool:
        """Record on each machine that has none the set that its bootstrap data has; return whether one was."""
        key, nodes = key_of(seen.cluster), {one.machine: one for one in seen.nodes}
        uids = frozenset(one.metadata.uid for one in seen.machines.values())
        strangers = self._without_set.get(key, frozenset()) & uids
        unknown = [
            one
            for name, one in seen.machines.items()
            if _is_unknown(one) and not nodes[name].digest and one.metadata.uid not in strangers
        ]
        done, pauses = 0, Pauses()
        for machine in unknown:
            if await self._record(machine):
                done += 1
            else:
                strangers |= {machine.metadata.uid}
            if done == _BATCH:
                break
            await pauses.take()
        self._without_set[key] = strangers
        return done > 0

    def forget(self, cluster: Key) -> None:
        """Forget a cluster that is gone."""
        self._without_set.pop(cluster, None)

    async def _record(self, machine: Machine) -> bool:
        metadata = machine.metadata
        found = await self._client.find(SECRETS, machine.spec.bootstrap.data_secret_name, metadata.namespace)
        applied = _read_bootstrap_data(found.data.get("value", "")) if found else None
        if applied is None:
            return False
        body = {"metadata": {"annotations": {TRUST_APPLIED: recorded.text(applied)}, "uid": metadata.uid}}
        try:
            await self._client.patch(MACHINES, metadata.name, metadata.namespace, body)
        except NotFoundError:
            return False
        return True


def _is_unknown(machine: Machine) -> bool:
    return bool(machine.spec.bootstrap.data_secret_name) and TRUST_APPLIED not in machine.metadata.annotations


def _read_bootstrap_data(value: str) -> AppliedTrust | None:
    """Return what bootstrap data writes; None where it has no set of ours."""
    try:
        data = base64.b64decode(value)
    except ValueError:
        return None
    digest = bundle.digest_in(data)
    if digest is None:
        return None
    return AppliedTrust(
        digest=digest,
        at=datetime.now(UTC),
        method=BOOTSTRAP,
        is_partial=bundle.is_partial_in(data),
        booted=digest,
    )
