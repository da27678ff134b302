"""When a node must prove its trust, and when its files are to be looked at, again. Pure.

Registries are asked about one by one, those first whose time came first. One that answers nobody, *silent* in what
follows, is asked by a few nodes a minute, so that it keeps no other one from being proven; that it is silent follows
from what is recorded on Machines, so that it is still known after a restart.

Times are compared that several clocks have written: an earlier leader's for a change, an operator's for a request,
ours for an answer. A question that follows such a time in truth is recorded as later than it (`asked_at`), so that a
clock that is ahead by less than SKEW delays nothing. A change is recorded as later than every answer that it follows
(`written_at`), so that an answer from before it never vouches for it.
"""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from trustplane.api.clustertrust import (
    TRUSTED,
    UNCLEAR,
    UNREACHABLE,
    UNREADABLE,
    Inspection,
    ProofResult,
    RecordedProof,
)
from trustplane.clusterapi.node_state import NodeFacts, is_same_digest

PROOF_INTERVAL: Final = timedelta(hours=1)  # between proofs of a node on which nothing changes
RETRY_INTERVAL: Final = timedelta(minutes=1)  # after an answer that says nothing about trust
REFUSED_INTERVAL: Final = timedelta(minutes=5)  # after a refusal: somebody may have renewed the registry's certificate
SILENT_AFTER: Final = 5  # nodes in a row to which a registry has said nothing
MAX_SILENT_PROBES: Final = 8  # nodes that ask a silent registry within RETRY
MAX_CLOCK_SKEW: Final = timedelta(minutes=5)  # by which clocks may differ

_SAYS_NOTHING: Final = frozenset({UNREACHABLE, UNCLEAR})
_TICK: Final = timedelta(microseconds=1)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)

# What a node last said of each registry since its last change, and when it was asked.
_Answers = Mapping[str, tuple[datetime, str]]


@dataclass(frozen=True, kw_only=True)
class ProofDemand:
    """What is asked of the nodes of a cluster."""

    in_force: str  # digest of its set
    hosts: frozenset[str]  # registries that its nodes are to trust
    is_readable: bool = True  # the content of its set is known, so that files can be compared with it
    requested_at: datetime | None = None  # when somebody last asked for a proof
    interval: timedelta = PROOF_INTERVAL


@dataclass(frozen=True)
class DueProof:
    """A registry that a node is to prove, and when."""

    facts: NodeFacts
    host: str
    due: datetime


def schedule_proofs(nodes: Iterable[NodeFacts], demand: ProofDemand, now: datetime) -> list[DueProof]:
    """Return what is to be asked of the nodes of a cluster, now and later; what is due first comes first.

    Args:
        nodes: What is known of them.
        demand: What is asked of them.
        now: The time.
    """
    able = [(one, _answers(one)) for one in nodes if _can_be_asked(one, demand)]
    asked = [question for host in sorted(demand.hosts) for question in _of_host(host, able, demand, now)]
    return sorted(asked, key=lambda one: one.due)


def _of_host(
    host: str, nodes: Sequence[tuple[NodeFacts, _Answers]], demand: ProofDemand, now: datetime
) -> Iterator[DueProof]:
    answers = [(said[host], facts.machine) for facts, said in nodes if host in said]
    waits = _waits_of_silence(answers, demand) if _is_silent(answers) else {}
    for facts, said in nodes:
        if host not in said:
            yield DueProof(facts, host, _after_change(facts, now))
            continue
        at, verdict = said[host]
        due = waits.get(facts.machine, at + _patience(verdict, demand))
        yield DueProof(facts, host, min(due, _request(demand, at, now)))


def silent_registries(nodes: Iterable[NodeFacts], demand: ProofDemand) -> frozenset[str]:
    """Return the registries that have said nothing to the last few nodes that asked them."""
    said = [(one.machine, _answers(one)) for one in nodes]
    by_host = {host: [(answers[host], name) for name, answers in said if host in answers] for host in demand.hosts}
    return frozenset(host for host, answers in by_host.items() if _is_silent(answers))


def is_silent(latest: Collection[bool]) -> bool:
    """Tell whether a registry is silent.

    Args:
        latest: Of its last questions, whether each was answered.
    """
    return len(latest) >= SILENT_AFTER and not any(list(latest)[-SILENT_AFTER:])


def _is_silent(answers: Iterable[tuple[tuple[datetime, str], str]]) -> bool:
    latest = deque((verdict not in _SAYS_NOTHING for (_, verdict), _ in sorted(answers)), SILENT_AFTER)
    return is_silent(latest)


def _waits_of_silence(
    answers: Iterable[tuple[tuple[datetime, str], str]], demand: ProofDemand
) -> Mapping[str, datetime]:
    """Return when those nodes are to ask again that a silent registry has said nothing to: a few, in turn."""
    in_turn = [(at, name) for (at, verdict), name in sorted(answers) if verdict in _SAYS_NOTHING]
    waits = {name: at + demand.interval for at, name in in_turn}
    # So many were asked since: one more may be when the first of them was a while ago.
    latest = in_turn[-MAX_SILENT_PROBES:][0][0]
    return waits | {
        name: max(at, latest) + min(RETRY_INTERVAL, demand.interval) for at, name in in_turn[:MAX_SILENT_PROBES]
    }


def inspection_due_at(facts: NodeFacts, demand: ProofDemand, now: datetime) -> datetime | None:
    """Return when a node's files are to be looked at; None: not before something changes.

    They are compared where the content of the set is known. How it reaches registries is to be known in any case.

    Args:
        facts: What is known of the node.
        demand: What is asked of it.
        now: The time.
    """
    if not _can_be_asked(facts, demand):
        return None
    look = facts.valid_inspection
    if look is None or look.at is None:
        return _after_change(facts, now)
    is_new = not (look.error or look.refusal) and demand.hosts - {one.registry for one in look.registries}
    if is_new or (look.is_partial and demand.is_readable):
        return now
    is_blind = any(one.verification == UNREADABLE for one in look.registries)
    patience = REFUSED_INTERVAL if look.error or look.message or look.refusal or is_blind else demand.interval
    return min(look.at + min(patience, demand.interval), _request(demand, look.at, now))


def probe_record_time(began: datetime, facts: NodeFacts, demand: ProofDemand) -> datetime:
    """Return when a node was asked, as it is recorded: later than the change and the request that it followed.

    Args:
        began: When it was asked by our clock.
        facts: What was known of the node then.
        demand: What was asked of it.
    """
    known = [facts.changed_at + _TICK]
    if demand.requested_at and demand.requested_at - began <= MAX_CLOCK_SKEW:
        known.append(demand.requested_at)
    return max(began, *known)


def write_record_time(now: datetime, facts: NodeFacts) -> datetime:
    """Return the time to record for a write that ends now: later than the node's earlier records.

    A manager whose clock ran ahead leaves records from the future. None of them may vouch for a later write. A record
    more than SKEW ahead comes from no sane clock and is ignored: it must not move proofs into the far future.
    """
    proof, inspection = facts.proof or RecordedProof(), facts.inspection or Inspection()
    earlier = [facts.changed, inspection.at, proof.at, *(result.at for result in proof.results)]
    return max(now, *(at + _TICK for at in earlier if at is not None and at - now < MAX_CLOCK_SKEW), now)


def _can_be_asked(facts: NodeFacts, demand: ProofDemand) -> bool:
    return bool(facts.node and not facts.unreachable_reason) and facts.has_set(demand.in_force)


def _answers(facts: NodeFacts) -> _Answers:
    proof = facts.valid_proof
    if proof is None or proof.at is None:
        return {}
    return {one.registry: (one.at or proof.at, one.verdict) for one in proof.results}


def _after_change(facts: NodeFacts, now: datetime) -> datetime:
    changed = facts.changed_at
    return changed if changed <= now else max(now, changed - MAX_CLOCK_SKEW)


def _patience(verdict: str, demand: ProofDemand) -> timedelta:
    if verdict == TRUSTED:
        return demand.interval
    return min(RETRY_INTERVAL if verdict in _SAYS_NOTHING else REFUSED_INTERVAL, demand.interval)


def _request(demand: ProofDemand, done: datetime, now: datetime) -> datetime:
    requested = demand.requested_at
    if not requested or requested <= done:
        return _NEVER
    return requested if requested <= now else max(now, requested - MAX_CLOCK_SKEW)


def time_until_first(times: Iterable[datetime | None], now: datetime) -> timedelta | None:
    """Return how long it is to the first of those times, at least nothing; None where there is none."""
    known = [one for one in times if one is not None]
    return max(min(known) - now, timedelta()) if known else None


def merge_results(
    facts: NodeFacts, results: Sequence[ProofResult], *, digest: str, hosts: Collection[str]
) -> RecordedProof:
    """Return a node's proof with new results; what it said of other registries since its last change stays.

    A proof of several times counts from the earliest of them.

    Args:
        facts: What is known of the node.
        results: What it says now, each with its time.
        digest: Of the set that it had when it was asked.
        hosts: The registries that still count.
    """
    old, said = facts.valid_proof, {one.registry for one in results}
    kept: list[ProofResult] = []
    if old and is_same_digest(old.digest, digest):
        others = [one for one in old.results if one.registry in hosts and one.registry not in said]
        kept = [msgspec.structs.replace(one, at=one.at or old.at) for one in others]
    together = sorted([*results, *kept], key=lambda one: one.registry)
    return RecordedProof(digest=digest, at=min((one.at for one in together if one.at), default=None), results=together)


def includes_proof(proof: RecordedProof | None, other: RecordedProof) -> bool:
    """Tell whether a proof has all that another one has, or newer."""
    times = {one.registry: one.at or proof.at for one in proof.results} if proof else {}
    return all((at := times.get(one.registry)) and one.at and at >= one.at for one in other.results)
