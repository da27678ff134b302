"""Status of a ClusterTrust: counts, nodes without proof, conditions Current and Proven. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trustplane.api import clustertrust
from trustplane.api.clustertrust import ClusterTrustStatus, DesiredTrust, NodeTrust, Summary, TrustEntry, TrustInForce
from trustplane.api.conditions import FALSE, TRUE, UNKNOWN
from trustplane.api.meta import Condition
from trustplane.clusterapi.node_state import NodeFacts, NodeState, node_state
from trustplane.rollout.planning.steps import RolloutPlan, RolloutState
from trustplane.trust.entries import (
    EMPTY_SET,
    SHORT_DIGEST_LENGTH,
    SetDifference,
    TrustSet,
    compare_sets,
    update_advice,
)
from trustplane.trust.entries import describe_entry as entry_described

# The worst state of any node names the condition.
STATES_WORST_FIRST: Final = (
    clustertrust.NOT_TRUSTED,
    clustertrust.FAILED,
    clustertrust.OUTDATED,
    clustertrust.UNREACHABLE,
    clustertrust.UNCLEAR,
    clustertrust.PENDING,
    clustertrust.APPLIED,
    clustertrust.ACCEPTED,
)
# States in which trust is neither proven nor refuted.
_UNDECIDED: Final = frozenset({clustertrust.UNCLEAR, clustertrust.ACCEPTED})
NOTHING_TO_PROVE: Final = "NothingToProve"
NO_NODES: Final = "NoNodes"
CURRENT_UP_TO_DATE: Final = "UpToDate"
CURRENT_HELD: Final = "Held"
CURRENT_INVALID: Final = "Invalid"
CURRENT_UPDATING: Final = "Updating"
CURRENT_UNDONE: Final = "Undone"
CURRENT_STOPPED: Final = "Stopped"
CURRENT_UNREADABLE: Final = "Unreadable"
_SHOWN: Final = 5  # nodes, and entries, in a message


@dataclass(frozen=True, kw_only=True)
class TrustSets:
    """The two sets of a cluster."""

    digest: str  # of the set in force
    in_force: TrustSet | None  # None: its content is unreadable
    desired: TrustSet | None  # None: a list has errors
    source: str
    reason: str = ""
    since: datetime | None = None  # None: unknown
    change: str = ""  # the difference to the previous set in force
    problem: str = ""  # errors of the lists
    note: str = ""  # a remark about the lists
    command: str = ""  # the command that takes the desired set


@dataclass(frozen=True)
class _Node:
    facts: NodeFacts
    standing: NodeState

    @property
    def name(self) -> str:
        return self.facts.node or self.facts.machine


def cluster_trust_status(
    nodes: Sequence[NodeFacts],
    sets: TrustSets,
    hosts: frozenset[str],
    *,
    rollout: RolloutPlan,
    before: ClusterTrustStatus,
    now: datetime,
) -> ClusterTrustStatus:
    """Return the status of a ClusterTrust; conditions have no times yet.

    Args:
        nodes: Of the cluster.
        sets: In force, and desired.
        hosts: The registries that its nodes must trust.
        rollout: The plan that brings the set in force to the nodes.
        before: The current status, for the times of unchanged states.
        now: The time.
    """
    every = [
        _Node(facts, node_state(facts, sets.digest, hosts)) for facts in sorted(nodes, key=lambda node: node.machine)
    ]
    states = Counter(node.standing.state for node in every)
    unproven = sorted(
        (node for node in every if node.standing.state != clustertrust.PROVEN),
        key=lambda node: STATES_WORST_FIRST.index(node.standing.state),
    )
    old = {node.machine: node for node in before.nodes}
    times = [node.facts.proof.at for node in every if node.facts.proof and node.facts.proof.at]
    known = sets.in_force is not None and sets.desired is not None
    change = compare_sets(sets.in_force or EMPTY_SET, sets.desired or EMPTY_SET) if known else SetDifference()
    return ClusterTrustStatus(
        desired=_desired(sets),
        in_force=_in_force(sets, before, now),
        difference=change.text,
        summary=_summary(len(every), states),
        proven_nodes=f"{states[clustertrust.PROVEN]}/{len(every)}",
        nodes=[_detail(node, old, now) for node in unproven[: clustertrust.MAX_NODES]],
        more=max(0, len(unproven) - clustertrust.MAX_NODES),
        last_proof=max(times, default=None),
        conditions=[_current(sets, change, every, rollout), _proven(every, unproven, sets, hosts)],
    )


def status_entries(trust: TrustSet) -> list[TrustEntry]:
    """Return the entries of a set as ClusterTrust lists them."""
    return [
        TrustEntry(
            name=entry.name,
            fingerprints=list(entry.fingerprints),
            hosts=list(entry.scope),
            expires=min(certificate.expires for certificate in entry.certificates),
        )
        for entry in trust.entries
    ]


def describe_set(trust: TrustSet | None) -> str:
    """Describe a set by its first entries, each with the short fingerprints of its certificates."""
    if trust is None:
        return "a set with an unreadable Secret"
    if not len(trust):
        return "no additional CA"
    shown = [entry_described(entry) for entry in trust.entries[:_SHOWN]]
    more = len(trust) - len(shown)
    return ", ".join([*shown, f"and {more} more"] if more else shown)


def _desired(sets: TrustSets) -> DesiredTrust | None:
    if sets.desired is None:
        return None
    return DesiredTrust(digest=sets.desired.digest, entries=status_entries(sets.desired), source=sets.source)


def _in_force(sets: TrustSets, before: ClusterTrustStatus, now: datetime) -> TrustInForce:
    known = before.in_force
    since = known.since if known and known.digest == sets.digest else sets.since or now
    return TrustInForce(digest=sets.digest, since=since, reason=sets.reason)


def _summary(total: int, states: Mapping[str, int]) -> Summary:
    return Summary(
        total=total,
        proven=states[clustertrust.PROVEN],
        accepted=states[clustertrust.ACCEPTED],
        applied=states[clustertrust.APPLIED],
        pending=states[clustertrust.PENDING],
        outdated=states[clustertrust.OUTDATED],
        not_trusted=states[clustertrust.NOT_TRUSTED],
        unclear=states[clustertrust.UNCLEAR],
        unreachable=states[clustertrust.UNREACHABLE],
        failed=states[clustertrust.FAILED],
    )


def _detail(node: _Node, old: Mapping[str, NodeTrust], now: datetime) -> NodeTrust:
    facts, known = node.facts, old.get(node.facts.machine)
    before = known.since if known and known.state == node.standing.state else None
    return NodeTrust(
        name=facts.node,
        machine=facts.machine,
        state=node.standing.state,
        since=before or node.standing.since or now,
        digest=facts.digest,
        method=facts.method if facts.digest else "",
        proven_at=facts.proof.at if facts.proof else None,
        message=node.standing.message[:2048],
    )


def _current(sets: TrustSets, change: SetDifference, nodes: Sequence[_Node], rollout: RolloutPlan) -> Condition:
    not_current = _not_in_force(sets, change) or _not_on_nodes(sets, nodes, rollout)
    if not_current is not None:
        reason, message = not_current
        return Condition(type=clustertrust.CURRENT, status=FALSE, reason=reason, message=message)
    parts = (f"In force: {describe_set(sets.in_force)}{sets.note}", rollout.remark)
    message = ". ".join(part for part in parts if part)
    return Condition(type=clustertrust.CURRENT, status=TRUE, reason=CURRENT_UP_TO_DATE, message=message)


def _not_in_force(sets: TrustSets, change: SetDifference) -> tuple[str, str] | None:
    """Return reason and message if the desired set is not in force, else None."""
    if sets.desired is None:
        stays = f"A list has errors, or is missing, so {describe_set(sets.in_force)} stays in force. {sets.problem}"
        return CURRENT_INVALID, stays.strip()
    if sets.digest == sets.desired.digest:
        return None
    if sets.in_force is None:
        return CURRENT_UNREADABLE, f"The Secret of the set in force, {sets.digest[:SHORT_DIGEST_LENGTH]}, is unreadable"
    advice = f". {update_advice(change, sets.command)}" if sets.command else ""
    if sets.reason == CURRENT_UNDONE:
        back = f"Back in force until the next update: {describe_set(sets.in_force)}"
        return CURRENT_UNDONE, f"{back}. Held back: {change.text}{advice}"
    return CURRENT_HELD, f"Not in force yet: {change.text}{advice}"


def _not_on_nodes(sets: TrustSets, nodes: Sequence[_Node], rollout: RolloutPlan) -> tuple[str, str] | None:
    """Return reason and message if a node does not have the set in force, else None."""
    if rollout.state is RolloutState.STOPPED:
        refusing = [node for node in nodes if node.facts.machine in rollout.machines]
        return CURRENT_STOPPED, f"{rollout.message}. {_list_nodes(refusing)}. {_changed(sets)}"
    waiting = [
        node for node in nodes if node.standing.state == clustertrust.OUTDATED or not node.facts.has_set(sets.digest)
    ]
    if not waiting:
        return None
    counts = f"{len(waiting)} of {len(nodes)} nodes do not have the set: {_list_nodes(waiting)}"
    return CURRENT_UPDATING, ". ".join(part for part in (counts, rollout.message, rollout.remark) if part)


def _proven(nodes: Sequence[_Node], unproven: Sequence[_Node], sets: TrustSets, hosts: frozenset[str]) -> Condition:
    type_ = "Proven"
    if not nodes:
        return Condition(type=type_, status=UNKNOWN, reason=NO_NODES, message="The cluster has no nodes yet")
    if not hosts and all(node.standing.state == clustertrust.APPLIED for node in unproven):
        message = "No Registry selects this cluster. Create one to verify trust on its nodes"
        return Condition(type=type_, status=UNKNOWN, reason=NOTHING_TO_PROVE, message=message)
    if not unproven:
        noted = [node for node in nodes if node.standing.message]
        notes = f"; {_list_nodes(noted)}" if noted else ""
        message = f"{len(nodes)} of {len(nodes)} nodes: {', '.join(sorted(hosts))}{notes}"
        return Condition(type=type_, status=TRUE, reason=clustertrust.PROVEN, message=message)
    worst = unproven[0].standing.state
    same = [node for node in unproven if node.standing.state == worst]
    message = f"{len(nodes) - len(unproven)} of {len(nodes)} nodes are proven; {worst}: {_list_nodes(same)}"
    if worst == clustertrust.NOT_TRUSTED:
        message += f". {_changed(sets)}"
    status = UNKNOWN if worst in _UNDECIDED else FALSE
    return Condition(type=type_, status=status, reason=worst, message=message)


def _changed(sets: TrustSets) -> str:
    return f"The change was: {sets.change}" if sets.change else f"In force: {describe_set(sets.in_force)}"


def _list_nodes(nodes: Sequence[_Node]) -> str:
    """Return the names of nodes, grouped by their messages."""
    by_message: dict[str, list[str]] = {}
    for node in nodes:
        by_message.setdefault(node.standing.message, []).append(node.name)
    shown = [": ".join(part for part in (_list_names(names), message) if part) for message, names in by_message.items()]
    return "; ".join(shown[:_SHOWN] + ([f"and {len(shown) - _SHOWN} more reasons"] if len(shown) > _SHOWN else []))


def _list_names(names: Sequence[str]) -> str:
    more = [f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return ", ".join([*names[:_SHOWN], *more])
