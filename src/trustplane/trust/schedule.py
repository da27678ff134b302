"""When a node must prove its trust, and when its files are to be looked at, again. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trustplane.api.clustertrust import NOT_TRUSTED, TRUSTED, ProofResult, RecordedProof
from trustplane.trust.standing import NodeFacts, same

INTERVAL: Final = timedelta(hours=1)  # between proofs of a node on which nothing changes
RETRY: Final = timedelta(minutes=1)  # after an answer that says nothing about trust
REFUSED: Final = timedelta(minutes=5)  # after a refusal: somebody may have renewed the registry's certificate


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What is asked of the nodes of a cluster."""

    in_force: str  # digest of its set
    hosts: frozenset[str]  # registries that its nodes are to trust
    requested_at: datetime | None = None  # when somebody last asked for a proof
    interval: timedelta = INTERVAL


def proof_due_at(facts: NodeFacts, demand: Demand, now: datetime) -> datetime | None:
    """Return when a node is to prove its trust again; None: not before something changes.

    Args:
        facts: What is known of the node.
        demand: What is asked of it.
        now: Returned where it is due at once.
    """
    if not demand.hosts or not _can_be_asked(facts, demand):
        return None
    proof = facts.valid_proof
    if proof is None or proof.at is None:
        return max(now, facts.changed_at)  # by clocks that differ, the change may be in the future
    if demand.hosts - {one.registry for one in proof.results}:
        return now
    return min(proof.at + _patience(proof, demand), *_requests(demand, proof.at))


def inspection_due_at(facts: NodeFacts, demand: Demand, now: datetime) -> datetime | None:
    """Return when a node's files are to be looked at; arguments and result are those of `proof_due_at`.

    What they are to be is what its configuration names.
    """
    if not _can_be_asked(facts, demand) or not facts.is_configured:
        return None
    look = facts.valid_inspection
    if look is None or look.at is None:
        return max(now, facts.changed_at)
    patience = REFUSED if look.error or look.message or look.refusal else demand.interval
    return min(look.at + min(patience, demand.interval), *_requests(demand, look.at))


def _can_be_asked(facts: NodeFacts, demand: Demand) -> bool:
    return bool(facts.node and facts.digest and not facts.silence) and not facts.is_moving(demand.in_force)


def _patience(proof: RecordedProof, demand: Demand) -> timedelta:
    verdicts = {one.verdict for one in proof.results if one.registry in demand.hosts}
    if verdicts <= {TRUSTED}:
        return demand.interval
    return min(REFUSED if verdicts <= {TRUSTED, NOT_TRUSTED} else RETRY, demand.interval)


def _requests(demand: Demand, done: datetime) -> Sequence[datetime]:
    requested = demand.requested_at
    # `min` needs a second argument; a time that never comes is one.
    return [requested] if requested and requested > done else [datetime.max.replace(tzinfo=done.tzinfo)]


def wait(times: Iterable[datetime | None], now: datetime) -> timedelta | None:
    """Return how long it is to the first of those times, at least nothing; None where there is none."""
    known = [one for one in times if one is not None]
    return max(min(known) - now, timedelta()) if known else None


def merged(
    facts: NodeFacts, results: Sequence[ProofResult], *, digest: str, at: datetime, hosts: Collection[str]
) -> RecordedProof:
    """Return a node's proof with new results; what it said of other registries since its last change stays.

    A proof of several times counts from the earliest of them.

    Args:
        facts: What is known of the node.
        results: What it says now.
        digest: Of the set that it had when it was asked.
        at: When it was asked.
        hosts: The registries that still count.
    """
    old, said = facts.valid_proof, {one.registry for one in results}
    kept = [one for one in old.results if one.registry in hosts and one.registry not in said] if old else []
    if not kept or old is None or old.at is None or not same(old.digest, digest):
        return RecordedProof(digest=digest, at=at, results=_sorted(results))
    return RecordedProof(digest=digest, at=min(at, old.at), results=_sorted([*results, *kept]))


def _sorted(results: Iterable[ProofResult]) -> list[ProofResult]:
    return sorted(results, key=lambda one: one.registry)
