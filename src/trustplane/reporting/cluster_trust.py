"""The trust of a cluster as it is reported: counts, nodes that are not proven, conditions Current and Proven. Pure."""

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
from trustplane.rollout.planning.steps import Plan, State
from trustplane.trust.entries import EMPTY, SHORT, Difference, TrustSet, difference, take_it
from trustplane.trust.entries import described as entry_described

# The worst state of any node names the condition.
WORST_FIRST: Final = (
    clustertrust.NOT_TRUSTED,
    clustertrust.FAILED,
    clustertrust.OUTDATED,
    clustertrust.UNREACHABLE,
    clustertrust.UNCLEAR,
    clustertrust.PENDING,
    clustertrust.APPLIED,
    clustertrust.ACCEPTED,
)
# That trust is not proven, and that there is nothing against it, either.
_UNDECIDED: Final = frozenset({clustertrust.UNCLEAR, clustertrust.ACCEPTED})
NOTHING_TO_PROVE: Final = "NothingToProve"
NO_NODES: Final = "NoNodes"
UP_TO_DATE: Final = "UpToDate"
HELD: Final = "Held"
INVALID: Final = "Invalid"
UPDATING: Final = "Updating"
UNDONE: Final = "Undone"
STOPPED: Final = "Stopped"
UNREADABLE: Final = "Unreadable"
_SHOWN: Final = 5  # nodes, and entries, in a message


@dataclass(frozen=True, kw_only=True)
class Sets:
    """The two sets of a cluster."""

    digest: str  # of the set in force
    in_force: TrustSet | None  # None: its content cannot be read
    desired: TrustSet | None  # None: no list says so without errors
    source: str
    reason: str = ""
    since: datetime | None = None  # None: not known
    change: str = ""  # what the set in force changed when it was taken
    problem: str = ""  # what is wrong with the lists
    note: str = ""  # what else is to be known of the lists
    command: str = ""  # that takes the desired set


@dataclass(frozen=True)
class _Node:
    facts: NodeFacts
    standing: NodeState

    @property
    def name(self) -> str:
        return self.facts.node or self.facts.machine


def status(
    nodes: Sequence[NodeFacts],
    sets: Sets,
    hosts: frozenset[str],
    *,
    rollout: Plan,
    before: ClusterTrustStatus,
    now: datetime,
) -> ClusterTrustStatus:
    """Return the status of a ClusterTrust; conditions have no times yet.

    Args:
        nodes: Of the cluster.
        sets: In force, and desired.
        hosts: The registries that its nodes are to trust.
        rollout: How far the set in force is on its way to them.
        before: The status now, which knows since when things are as they are.
        now: The time.
    """
    found = [_Node(one, node_state(one, sets.digest, hosts)) for one in sorted(nodes, key=lambda one: one.machine)]
    states = Counter(one.standing.state for one in found)
    unproven = sorted(
        (one for one in found if one.standing.state != clustertrust.PROVEN),
        key=lambda one: WORST_FIRST.index(one.standing.state),
    )
    old = {one.machine: one for one in before.nodes}
    times = [one.facts.proof.at for one in found if one.facts.proof and one.facts.proof.at]
    known = sets.in_force is not None and sets.desired is not None
    change = difference(sets.in_force or EMPTY, sets.desired or EMPTY) if known else Difference()
    return ClusterTrustStatus(
        desired=_desired(sets),
        in_force=_in_force(sets, before, now),
        difference=change.text,
        summary=_summary(len(found), states),
        proven_nodes=f"{states[clustertrust.PROVEN]}/{len(found)}",
        nodes=[_detail(one, old, now) for one in unproven[: clustertrust.MAX_NODES]],
        more=max(0, len(unproven) - clustertrust.MAX_NODES),
        last_proof=max(times, default=None),
        conditions=[_current(sets, change, found, rollout), _proven(found, unproven, sets, hosts)],
    )


def entries(trust: TrustSet) -> list[TrustEntry]:
    """Return a set as it is reported."""
    return [
        TrustEntry(
            name=entry.name,
            fingerprints=list(entry.fingerprints),
            hosts=list(entry.hosts),
            expires=min(one.expires for one in entry.certificates),
        )
        for entry in trust.entries
    ]


def described(trust: TrustSet | None) -> str:
    """Return a set in words: its first entries, each with the short fingerprints of its certificates."""
    if trust is None:
        return "a set whose Secret cannot be read"
    if not len(trust):
        return "no additional CA"
    shown = [entry_described(one) for one in trust.entries[:_SHOWN]]
    more = len(trust) - len(shown)
    return ", ".join([*shown, f"and {more} more"] if more else shown)


def _desired(sets: Sets) -> DesiredTrust | None:
    if sets.desired is None:
        return None
    return DesiredTrust(digest=sets.desired.digest, entries=entries(sets.desired), source=sets.source)


def _in_force(sets: Sets, before: ClusterTrustStatus, now: datetime) -> TrustInForce:
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


def _detail(one: _Node, old: Mapping[str, NodeTrust], now: datetime) -> NodeTrust:
    facts, known = one.facts, old.get(one.facts.machine)
    before = known.since if known and known.state == one.standing.state else None
    return NodeTrust(
        name=facts.node,
        machine=facts.machine,
        state=one.standing.state,
        since=before or one.standing.since or now,
        digest=facts.digest,
        method=facts.method if facts.digest else "",
        proven_at=facts.proof.at if facts.proof else None,
        message=one.standing.message[:2048],
    )


def _current(sets: Sets, change: Difference, found: Sequence[_Node], rollout: Plan) -> Condition:
    not_current = _not_taken(sets, change) or _not_there(sets, found, rollout)
    if not_current is not None:
        reason, message = not_current
        return Condition(type=clustertrust.CURRENT, status=FALSE, reason=reason, message=message)
    message = ". ".join(one for one in (f"In force: {described(sets.in_force)}{sets.note}", rollout.remark) if one)
    return Condition(type=clustertrust.CURRENT, status=TRUE, reason=UP_TO_DATE, message=message)


def _not_taken(sets: Sets, change: Difference) -> tuple[str, str] | None:
    """Return why what the lists ask for is not in force, reason and message; None where it is."""
    if sets.desired is None:
        stays = f"A list has errors, or is missing, so {described(sets.in_force)} stays in force. {sets.problem}"
        return INVALID, stays.strip()
    if sets.digest == sets.desired.digest:
        return None
    if sets.in_force is None:
        return UNREADABLE, f"The Secret of set {sets.digest[:SHORT]}, which is in force, cannot be read"
    advice = f". {take_it(change, sets.command)}" if sets.command else ""
    if sets.reason == UNDONE:
        back = f"Back in force until the next update: {described(sets.in_force)}"
        return UNDONE, f"{back}. Held back: {change.text}{advice}"
    return HELD, f"Not in force yet: {change.text}{advice}"


def _not_there(sets: Sets, found: Sequence[_Node], rollout: Plan) -> tuple[str, str] | None:
    """Return why not every node has the set in force, reason and message; None where all have it."""
    if rollout.state is State.STOPPED:
        refusing = [one for one in found if one.facts.machine in rollout.machines]
        return STOPPED, f"{rollout.message}. {_named(refusing)}. {_changed(sets)}"
    waiting = [
        one for one in found if one.standing.state == clustertrust.OUTDATED or not one.facts.has_set(sets.digest)
    ]
    if not waiting:
        return None
    words = f"{len(waiting)} of {len(found)} nodes do not have it: {_named(waiting)}"
    return UPDATING, ". ".join(one for one in (words, rollout.message, rollout.remark) if one)


def _proven(found: Sequence[_Node], unproven: Sequence[_Node], sets: Sets, hosts: frozenset[str]) -> Condition:
    type_ = "Proven"
    if not found:
        return Condition(type=type_, status=UNKNOWN, reason=NO_NODES, message="There are no nodes yet")
    if not hosts and all(one.standing.state == clustertrust.APPLIED for one in unproven):
        message = "No Registry selects this cluster. Make one to have its nodes prove that they trust it"
        return Condition(type=type_, status=UNKNOWN, reason=NOTHING_TO_PROVE, message=message)
    if not unproven:
        noted = [one for one in found if one.standing.message]
        notes = f"; {_named(noted)}" if noted else ""
        message = f"{len(found)} of {len(found)} nodes: {', '.join(sorted(hosts))}{notes}"
        return Condition(type=type_, status=TRUE, reason=clustertrust.PROVEN, message=message)
    worst = unproven[0].standing.state
    same = [one for one in unproven if one.standing.state == worst]
    message = f"{len(found) - len(unproven)} of {len(found)} nodes are proven; {worst}: {_named(same)}"
    if worst == clustertrust.NOT_TRUSTED:
        message += f". {_changed(sets)}"
    status = UNKNOWN if worst in _UNDECIDED else FALSE
    return Condition(type=type_, status=status, reason=worst, message=message)


def _changed(sets: Sets) -> str:
    return f"The change was: {sets.change}" if sets.change else f"In force: {described(sets.in_force)}"


def _named(nodes: Sequence[_Node]) -> str:
    """Return nodes with their messages, those of one message together."""
    by_message: dict[str, list[str]] = {}
    for one in nodes:
        by_message.setdefault(one.standing.message, []).append(one.name)
    shown = [": ".join(part for part in (_listed(names), message) if part) for message, names in by_message.items()]
    return "; ".join(shown[:_SHOWN] + ([f"and {len(shown) - _SHOWN} more reasons"] if len(shown) > _SHOWN else []))


def _listed(names: Sequence[str]) -> str:
    more = [f"and {len(names) - _SHOWN} more"] if len(names) > _SHOWN else []
    return ", ".join([*names[:_SHOWN], *more])
