"""Schedule of proofs and inspections. Pure.

Each pair of node and registry is due separately; the earliest due time comes first. A *silent* registry, which answers
no node, is probed by a few nodes per minute and does not delay the proofs of others. Silence follows from the records
on Machines, and thus survives a restart.

Compared times come from several clocks: a previous leader's for a change, a user's for a request, ours for a result.
A probe that actually follows such a time is recorded as later (`probe_record_time`): a clock ahead by less than
MAX_CLOCK_SKEW delays nothing. A change is recorded as later than all previous results (`write_record_time`): a previous
result never proves it.
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
from trustplane.trust.recorded import MAX_CLOCK_SKEW

PROOF_INTERVAL: Final = timedelta(hours=1)  # between proofs of a node without changes
RETRY_INTERVAL: Final = timedelta(minutes=1)  # after a result without information about trust
REFUSED_INTERVAL: Final = timedelta(minutes=5)  # after a refusal: the registry's certificate may have been renewed
MIN_RETRY_AFTER_CHANGE: Final = timedelta(seconds=5)  # after a failed inspection that directly follows a change
SILENT_AFTER: Final = 5  # consecutive nodes without an answer from a registry
MAX_SILENT_PROBES: Final = 8  # nodes that probe a silent registry within RETRY

_WITHOUT_ANSWER: Final = frozenset({UNREACHABLE, UNCLEAR})
_TICK: Final = timedelta(microseconds=1)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)

# A node's latest verdict for each registry since its last change, with the time of the probe.
_Answers = Mapping[str, tuple[datetime, str]]


@dataclass(frozen=True, kw_only=True)
class ProofDemand:
    """What the nodes of a cluster must prove."""

    in_force: str  # digest of the set in force
    hosts: frozenset[str]  # registries that its nodes must trust
    is_readable: bool = True  # whether the set's content is known, for comparison with files
    requested_at: datetime | None = None  # when a user last requested a proof
    interval: timedelta = PROOF_INTERVAL


@dataclass(frozen=True)
class DueProof:
    """A registry to prove on a node, and when."""

    facts: NodeFacts
    host: str
    due: datetime


def schedule_proofs(nodes: Iterable[NodeFacts], demand: ProofDemand, now: datetime) -> list[DueProof]:
    """Return the current and future questions to the nodes of a cluster, by due time.

    Args:
        nodes: The nodes' facts.
        demand: What they must prove.
        now: The current time.
    """
    able = [(facts, _answers(facts)) for facts in nodes if _can_be_probed(facts, demand)]
    by_host = [question for host in sorted(demand.hosts) for question in _questions_about(host, able, demand, now)]
    return sorted(by_host, key=lambda question: question.due)


def _questions_about(
    host: str, nodes: Sequence[tuple[NodeFacts, _Answers]], demand: ProofDemand, now: datetime
) -> Iterator[DueProof]:
    results = [(answers[host], facts.machine) for facts, answers in nodes if host in answers]
    retries = _retry_times(results, demand) if _is_silent(results) else {}
    for facts, answers in nodes:
        if host not in answers:
            yield DueProof(facts, host, _after_change(facts, now))
            continue
        at, verdict = answers[host]
        due = retries.get(facts.machine, at + _patience(verdict, demand))
        yield DueProof(facts, host, min(due, _request(demand, at, now)))


def silent_registries(nodes: Iterable[NodeFacts], demand: ProofDemand) -> frozenset[str]:
    """Return the registries that did not answer the last few nodes."""
    by_node = [(facts.machine, _answers(facts)) for facts in nodes]
    by_host = {host: [(answers[host], name) for name, answers in by_node if host in answers] for host in demand.hosts}
    return frozenset(host for host, results in by_host.items() if _is_silent(results))


def is_silent(latest: Collection[bool]) -> bool:
    """Return whether a registry is silent.

    Args:
        latest: Whether it answered each of its last probes, oldest first.
    """
    return len(latest) >= SILENT_AFTER and not any(list(latest)[-SILENT_AFTER:])


def _is_silent(results: Iterable[tuple[tuple[datetime, str], str]]) -> bool:
    latest = deque((verdict not in _WITHOUT_ANSWER for (_, verdict), _ in sorted(results)), SILENT_AFTER)
    return is_silent(latest)


def _retry_times(results: Iterable[tuple[tuple[datetime, str], str]], demand: ProofDemand) -> Mapping[str, datetime]:
    """Return when the nodes without an answer from a silent registry probe it again: a few at a time, in turn."""
    in_turn = [(at, name) for (at, verdict), name in sorted(results) if verdict in _WITHOUT_ANSWER]
    retries = {name: at + demand.interval for at, name in in_turn}
    # The latest SCOUTS probes began at or after this time; the next one may begin RETRY later.
    latest = in_turn[-MAX_SILENT_PROBES:][0][0]
    return retries | {
        name: max(at, latest) + min(RETRY_INTERVAL, demand.interval) for at, name in in_turn[:MAX_SILENT_PROBES]
    }


def inspection_due_at(facts: NodeFacts, demand: ProofDemand, now: datetime) -> datetime | None:
    """Return when a node's next inspection is due; None: not before something changes.

    An inspection compares files only if the set's content is known, but always reads how the node reaches registries.

    Args:
        facts: The node's facts.
        demand: What it must prove.
        now: The current time.
    """
    if not _can_be_probed(facts, demand):
        return None
    inspection = facts.valid_inspection
    if inspection is None or inspection.at is None:
        return _after_change(facts, now)
    inspected = {access.registry for access in inspection.registries}
    is_new = not (inspection.error or inspection.refusal) and demand.hosts - inspected
    if is_new or (inspection.is_partial and demand.is_readable):
        return now
    is_blind = any(access.verification == UNREADABLE for access in inspection.registries)
    must_retry = inspection.error or inspection.message or inspection.refusal or is_blind
    patience = _retry_interval(facts, inspection.at) if must_retry else demand.interval
    return min(inspection.at + min(patience, demand.interval), _request(demand, inspection.at, now))


def _retry_interval(facts: NodeFacts, inspected_at: datetime) -> timedelta:
    """Return the wait after a failed inspection: the age of the node's last change at that time, within bounds.

    A rollout waits for the first inspection after a change, and the change may have interrupted that connection.
    """
    return max(MIN_RETRY_AFTER_CHANGE, min(inspected_at - facts.changed_at, REFUSED_INTERVAL))


def probe_record_time(began: datetime, facts: NodeFacts, demand: ProofDemand) -> datetime:
    """Return the time to record for a probe: later than the change and the request that it followed.

    Args:
        began: When the probe began by our clock.
        facts: The node's facts at that time.
        demand: What it had to prove.
    """
    preceding = [facts.changed_at + _TICK]
    if demand.requested_at and demand.requested_at - began <= MAX_CLOCK_SKEW:
        preceding.append(demand.requested_at)
    return max(began, *preceding)


def write_record_time(now: datetime, facts: NodeFacts) -> datetime:
    """Return the time to record for a write that ends now: later than the node's earlier records.

    A manager whose clock ran ahead leaves records from the future. None of them may vouch for a later write. A record
    more than MAX_CLOCK_SKEW ahead comes from no sane clock and is ignored: it must not move proofs into the far future.
    """
    proof, inspection = facts.proof or RecordedProof(), facts.inspection or Inspection()
    earlier = [facts.changed, inspection.at, proof.at, *(result.at for result in proof.results)]
    return max(now, *(at + _TICK for at in earlier if at is not None and at - now < MAX_CLOCK_SKEW), now)


def _can_be_probed(facts: NodeFacts, demand: ProofDemand) -> bool:
    return bool(facts.node and not facts.unreachable_reason) and facts.has_set(demand.in_force)


def _answers(facts: NodeFacts) -> _Answers:
    proof = facts.valid_proof
    if proof is None or proof.at is None:
        return {}
    return {result.registry: (result.at or proof.at, result.verdict) for result in proof.results}


def _after_change(facts: NodeFacts, now: datetime) -> datetime:
    changed = facts.changed_at
    return changed if changed <= now else max(now, changed - MAX_CLOCK_SKEW)


def _patience(verdict: str, demand: ProofDemand) -> timedelta:
    if verdict == TRUSTED:
        return demand.interval
    return min(RETRY_INTERVAL if verdict in _WITHOUT_ANSWER else REFUSED_INTERVAL, demand.interval)


def _request(demand: ProofDemand, done: datetime, now: datetime) -> datetime:
    requested = demand.requested_at
    if not requested or requested <= done:
        return _NEVER
    return requested if requested <= now else max(now, requested - MAX_CLOCK_SKEW)


def time_until_first(times: Iterable[datetime | None], now: datetime) -> timedelta | None:
    """Return the time until the first of these times, at least zero; None without any."""
    known = [time for time in times if time is not None]
    return max(min(known) - now, timedelta()) if known else None


def merge_results(
    facts: NodeFacts, results: Sequence[ProofResult], *, digest: str, hosts: Collection[str]
) -> RecordedProof:
    """Return a node's proof with new results; its results for other registries since its last change are kept.

    The time of a proof is that of its earliest result.

    Args:
        facts: The node's facts.
        results: The new results, each with its time.
        digest: Digest of the node's set when it was probed.
        hosts: The registries that still count.
    """
    old, renewed = facts.valid_proof, {result.registry for result in results}
    kept: list[ProofResult] = []
    if old and is_same_digest(old.digest, digest):
        others = [result for result in old.results if result.registry in hosts and result.registry not in renewed]
        kept = [msgspec.structs.replace(result, at=result.at or old.at) for result in others]
    combined = sorted([*results, *kept], key=lambda result: result.registry)
    earliest = min((result.at for result in combined if result.at), default=None)
    return RecordedProof(digest=digest, at=earliest, results=combined)


def includes_proof(proof: RecordedProof | None, other: RecordedProof) -> bool:
    """Return whether a proof contains every result of another proof, or a newer one."""
    times = {result.registry: result.at or proof.at for result in proof.results} if proof else {}
    return all((at := times.get(result.registry)) and result.at and at >= result.at for result in other.results)
