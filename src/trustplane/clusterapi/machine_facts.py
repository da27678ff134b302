"""What a Machine and its bootstrap configuration say of the trust of its node. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from trustplane.api import clustertrust
from trustplane.api.annotations import UPDATE_IN_PROGRESS
from trustplane.api.clusterapi import KubeadmConfig, Machine
from trustplane.api.clustertrust import TRUST_APPLIED, TRUST_HINDRANCE, TRUST_INSPECTION, TRUST_PROOF
from trustplane.api.conditions import FALSE, UNKNOWN
from trustplane.api.meta import Condition, condition
from trustplane.text import clean
from trustplane.trust import recorded
from trustplane.trust.entries import EMPTY, SHORT, TrustSet
from trustplane.trust.places import Place, hosts_by_name, place
from trustplane.trust.standing import NodeFacts, same

# Of Cluster API: api/core/v1beta2, Machine's conditions.
_UPDATING: Final = "Updating"
_UPDATE_FAILED: Final = "InPlaceUpdateFailed"
_UP_TO_DATE: Final = "UpToDate"
_NODE_READY: Final = "NodeReady"

_EPOCH: Final = datetime.fromtimestamp(0, UTC)

_WORDS: Final = 1024  # characters of what others say that are passed on


def facts(
    machine: Machine,
    config: KubeadmConfig | None,
    users: TrustSet | None = None,
    *,
    rolled_out: bool = True,
    now: datetime | None = None,
) -> NodeFacts:
    """Return what is known of a node.

    Args:
        machine: Its Machine.
        config: Its bootstrap configuration; None where it is not there, or not kubeadm's.
        users: The set of Secret `<cluster>-user-trusted-ca-secret`, where the cluster has one.
        rolled_out: Whether Cluster API has nothing to change on any machine of the cluster.
        now: What is recorded with a later time is not believed; None: the clock's.
    """
    annotations = machine.metadata.annotations
    applied = recorded.applied(annotations, now)
    proof, inspection = recorded.proof(annotations, now), recorded.inspection(annotations, now)
    records = {TRUST_APPLIED: applied, TRUST_PROOF: proof, TRUST_INSPECTION: inspection}
    is_updating = UPDATE_IN_PROGRESS in annotations
    updating = _condition(machine, _UPDATING)
    up_to_date = _condition(machine, _UP_TO_DATE)
    failed = updating is not None and updating.reason == _UPDATE_FAILED
    # During its first update in place, the configuration says already what the node is only about to have.
    bootstrap = "" if is_updating or config is None else bootstrap_digest(config, users)
    return NodeFacts(
        machine=machine.metadata.name,
        created=machine.metadata.creation_timestamp or _EPOCH,
        node=machine.status.node_ref.name,
        digest=applied.digest if applied else bootstrap,
        changed=applied.at if applied else None,
        method=(applied.method if applied else "") or clustertrust.BOOTSTRAP,
        is_updating=is_updating,
        is_up_to_date=rolled_out and (up_to_date is None or up_to_date.status != FALSE),
        is_configured=config is None or applied is None or _names(config, users, applied.digest),
        update_error=clean(updating.message if updating and failed else annotations.get(TRUST_HINDRANCE, ""), _WORDS),
        silence=silence(machine),
        proof=proof,
        inspection=inspection,
        disbelieved=tuple(name for name, record in records.items() if annotations.get(name) and record is None),
    )


def _names(config: KubeadmConfig, users: TrustSet | None, digest: str) -> bool:
    named = bootstrap_digest(config, users)
    return not named or same(named, digest)


def applied_digest(machine: Machine) -> str:
    """Return the digest of the set that was last written on its node after its bootstrap; empty: none was."""
    applied = recorded.applied(machine.metadata.annotations)
    return applied.digest if applied else ""


def bootstrap_digest(config: KubeadmConfig, users: TrustSet | None = None) -> str:
    """Return the digest, or its first digits, of the set that a bootstrap configuration names; empty: not known."""
    trust = {found: one for one in config.spec.files if (found := place(one.path))}
    if not trust:
        return EMPTY.digest
    names = {one.content_from.secret.name if one.content_from else "" for one in trust.values()}
    if len(names) != 1:
        return ""
    digest = names.pop().rpartition("-trust-")[2]
    if len(digest) == SHORT and all(one in "0123456789abcdef" for one in digest):
        return digest
    return _of_users(trust, users)


def _of_users(places: Iterable[Place], users: TrustSet | None) -> str:
    wanted = hosts_by_name(places)
    if users is None or not wanted.keys() <= set(users.names):
        return ""
    return TrustSet(tuple(one for one in users.entries if one.name in wanted)).scoped(wanted).digest


def silence(machine: Machine) -> str:
    """Return why a machine's kubelet is held to be out of reach; empty where it is not."""
    ready = _condition(machine, _NODE_READY)
    if ready is None or ready.status != UNKNOWN or not machine.status.node_ref.name:
        return ""
    words = (ready.message or ready.reason).removeprefix("* ").removeprefix("Node.Ready: ")
    return f"its kubelet does not report: {clean(words, _WORDS)}"


def _condition(machine: Machine, type_: str) -> Condition | None:
    return condition(machine.status.conditions, type_)
