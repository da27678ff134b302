"""Derive the state of a node's trust from the known facts. Pure.

A proof or inspection older than the node's last change is ignored.

A kubelet's message shows that TLS was accepted, never that a certificate was verified. A node therefore trusts a
registry only if two facts are known: its kubelet's answer, and that its runtime contacts the registry directly and
verifies its certificate (`RegistryAccess`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from trustplane.api import clustertrust
from trustplane.api.clustertrust import Inspection, ProofResult, RecordedProof, RegistryAccess, UpdateError
from trustplane.trust.entries import SHORT_DIGEST_LENGTH

# The node's state by verdict, worst first.
_STATES: Final = (
    (clustertrust.NOT_TRUSTED, clustertrust.NOT_TRUSTED),
    (clustertrust.UNREACHABLE, clustertrust.UNREACHABLE),
    (clustertrust.UNCLEAR, clustertrust.UNCLEAR),
)
# Maximum age of an inspection's registry access at the time of a proof: both are taken hourly, and a failed inspection
# is retried.
MAX_ACCESS_AGE: Final = timedelta(hours=2)
_NOT_INSPECTED: Final = "the node has not been inspected yet"
_PROVIDE_KEY: Final = "Inspection requires SSH access to the node: provide Secret <cluster>-ssh"


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """The known facts about a node."""

    machine: str
    created: datetime
    node: str = ""  # empty until the Node exists
    digest: str = ""  # of the set last written to the node; empty if unknown
    changed: datetime | None = None  # time of that write; None: at creation
    method: str = clustertrust.BOOTSTRAP
    boot_digest: str = ""  # digest of the set in its bootstrap data; empty if unknown
    is_partial: bool = False  # the node has only the part of that set that fit into its bootstrap data
    has_unrecorded_write: bool = False  # a later write started and is not recorded: the node's set is unknown
    only_removes: bool = False  # the last write removed entries, and added or changed none
    is_busy: bool = False  # Cluster API is updating the machine
    update_error: UpdateError | None = None  # why the last write failed
    unreachable_reason: str = ""  # why its kubelet is treated as unreachable; empty if it is not
    proof: RecordedProof | None = None
    inspection: Inspection | None = None
    ignored_annotations: tuple[str, ...] = ()  # present annotations that are treated as absent

    @property
    def changed_at(self) -> datetime:
        """Time of the last change of its trust."""
        return self.changed or self.created

    @property
    def valid_proof(self) -> RecordedProof | None:
        """The proof, if it is of the node's set and newer than its last change."""
        proof = self.proof
        is_valid = proof is not None and is_same_digest(proof.digest, self.digest) and self._is_after_change(proof.at)
        return proof if is_valid else None

    @property
    def valid_inspection(self) -> Inspection | None:
        """The inspection, if it is of the node's set and newer than its last change."""
        inspection = self.inspection
        if inspection is None or not is_same_digest(inspection.digest, self.digest):
            return None
        return inspection if self._is_after_change(inspection.at) else None

    def registry_access(self, hosts: Iterable[str]) -> Mapping[str, RegistryAccess]:
        """Return how its runtime reaches registries, as known at the time of the proof, by registry host."""
        inspection, proof = self.valid_inspection, self.valid_proof
        reason, next_step, known = _NOT_INSPECTED, _PROVIDE_KEY, dict[str, RegistryAccess]()
        if inspection is not None and (why := inspection.refusal or inspection.error):
            reason, next_step = f"the node could not be inspected: {why}", ""
        if inspection is not None and _is_outdated(inspection, proof):
            reason = reason if next_step == "" else "the last inspection of the node is much older than the proof"
        elif inspection is not None:
            valid = [access for access in inspection.registries if access.verification in _VERIFICATIONS]
            known = {access.registry: access for access in reversed(valid)}
        return {host: known.get(host) or _unknown_access(host, reason, next_step) for host in hosts}

    def _is_after_change(self, time: datetime | None) -> bool:
        return time is not None and time > self.changed_at

    def has_set(self, digest: str) -> bool:
        """Return whether the whole set was written to the node; until then, nothing is proven on it."""
        return is_same_digest(self.digest, digest) and not (self.is_partial or self.has_unrecorded_write)

    def write_error(self, digest: str) -> str:
        """Return why the last write of that set to the node failed; empty if it did not."""
        error = self.update_error
        return error.message if error and not self.has_set(digest) and is_same_digest(error.digest, digest) else ""


_VERIFICATIONS: Final = (clustertrust.VERIFIED, clustertrust.UNVERIFIABLE, clustertrust.UNREADABLE)


def _is_outdated(inspection: Inspection, proof: RecordedProof | None) -> bool:
    """Return whether an inspection's registry access is too old to judge a proof by."""
    if proof is None or proof.at is None or inspection.registries_at is None:
        return False
    return proof.at - inspection.registries_at > MAX_ACCESS_AGE


def _unknown_access(host: str, reason: str, next_step: str) -> RegistryAccess:
    return RegistryAccess(registry=host, verification=clustertrust.UNREADABLE, reason=reason, next_step=next_step)


@dataclass(frozen=True)
class NodeState:
    """The state of a node's trust.

    Attributes:
        state: One of `clustertrust.STATES`.
        message: What happened, why, and the next step.
        since: Start of the state; None if unknown.
    """

    state: str
    message: str = ""
    since: datetime | None = None


def is_same_digest(digest: str, other: str) -> bool:
    """Return whether two digests are equal; either may be truncated, and an unknown digest equals none."""
    return bool(digest) and digest[:SHORT_DIGEST_LENGTH] == other[:SHORT_DIGEST_LENGTH]


def node_state(facts: NodeFacts, in_force: str, hosts: Collection[str]) -> NodeState:
    """Return the state of a node's trust.

    Args:
        facts: The node.
        in_force: Digest of the set in force in its cluster.
        hosts: Hosts of the registries that the node must trust.
    """
    state = _rollout_state(facts, in_force) or _inspection_state(facts, hosts) or _proof_state(facts, hosts)
    inspection = facts.valid_inspection
    if inspection is None or not inspection.hidden:
        return state
    return replace(state, message="; ".join(part for part in (state.message, inspection.hidden) if part))


def _rollout_state(facts: NodeFacts, in_force: str) -> NodeState | None:
    if facts.unreachable_reason:
        return NodeState(clustertrust.UNREACHABLE, facts.unreachable_reason)
    if error := facts.write_error(in_force):
        return NodeState(clustertrust.FAILED, f"writing set {short_digest(in_force)} to it failed: {error}")
    if not facts.node:
        return NodeState(clustertrust.PENDING, "it is being created", facts.created)
    if facts.has_set(in_force):
        return None
    if facts.has_unrecorded_write and is_same_digest(facts.digest, in_force):
        return NodeState(
            clustertrust.PENDING, f"a write to it was interrupted: set {short_digest(in_force)} is written again"
        )
    part = "a part of " if facts.is_partial else ""
    return NodeState(
        clustertrust.PENDING,
        f"it has {part}set {short_digest(facts.digest)} and waits for its turn to receive {short_digest(in_force)}",
    )


def short_digest(digest: str) -> str:
    """Return the first digits of a digest, for messages."""
    return digest[:SHORT_DIGEST_LENGTH] or "(unknown)"


def _inspection_state(facts: NodeFacts, hosts: Collection[str]) -> NodeState | None:
    inspection = facts.valid_inspection
    if inspection is not None and inspection.refusal:
        return NodeState(clustertrust.FAILED, inspection.refusal, inspection.at)
    if inspection is None or not inspection.message:
        return None
    refused = [
        verdict.sentence for verdict in registry_verdicts(facts, hosts) if verdict.verdict == clustertrust.NOT_TRUSTED
    ]
    return NodeState(clustertrust.OUTDATED, "; ".join([inspection.message, *refused]), inspection.at)


def _proof_state(facts: NodeFacts, hosts: Collection[str]) -> NodeState:
    proof = facts.valid_proof
    if not hosts:
        return NodeState(
            clustertrust.APPLIED, "no Registry selects its cluster, so there is nothing to prove", facts.changed
        )
    verdicts = registry_verdicts(facts, hosts)
    for code, state in _STATES:
        if messages := [verdict.sentence for verdict in verdicts if verdict.verdict == code]:
            return NodeState(state, "; ".join(messages))
    missing = sorted(set(hosts) - {verdict.registry for verdict in verdicts})
    if missing:
        return NodeState(
            clustertrust.APPLIED, f"no proof since its last change: {', '.join(missing)}", facts.changed_at
        )
    at = proof.at if proof else None
    if accepted := [verdict.sentence for verdict in verdicts if verdict.verdict == clustertrust.ACCEPTED]:
        return NodeState(clustertrust.ACCEPTED, "; ".join(accepted), at)
    return NodeState(clustertrust.PROVEN, "; ".join(verdict.sentence for verdict in verdicts if verdict.message), at)


@dataclass(frozen=True)
class RegistryVerdict:
    """The verdict on a node and a registry.

    Attributes:
        registry: Registry host.
        verdict: One of `clustertrust.VERDICTS`, or ACCEPTED: TLS was accepted, but whether the runtime verified the
            certificate is unknown. TRUSTED means that it did.
        message: Why, and the next step.
    """

    registry: str
    verdict: str
    message: str = ""

    @property
    def sentence(self) -> str:
        """The verdict as a sentence, with its message."""
        sentence = _SENTENCES[self.verdict].format(self.registry)
        return f"{sentence}: {self.message}" if self.message else sentence


_SENTENCES: Final = {
    clustertrust.TRUSTED: "{} is trusted",
    clustertrust.ACCEPTED: "{} was accepted, but whether its certificate was verified is unknown",
    clustertrust.NOT_TRUSTED: "{} is not trusted",
    clustertrust.UNREACHABLE: "{} cannot be reached from the node",
    clustertrust.UNCLEAR: "{}: whether it is trusted is unclear",
}


def registry_verdicts(facts: NodeFacts, hosts: Collection[str]) -> Sequence[RegistryVerdict]:
    """Return the verdicts of a node's valid proof; registries without a result are left out."""
    proof, access = facts.valid_proof, facts.registry_access(hosts)
    results = [result for result in proof.results if result.registry in hosts] if proof else []
    return [registry_verdict(result, access[result.registry]) for result in results]


def registry_verdict(result: ProofResult, access: RegistryAccess) -> RegistryVerdict:
    """Return the verdict from a kubelet's answer and from how its node reaches the registry."""
    if result.verdict != clustertrust.TRUSTED:
        verdict = result.verdict if result.verdict in _SENTENCES else clustertrust.UNCLEAR
        return RegistryVerdict(result.registry, verdict, result.message)
    if access.verification == clustertrust.VERIFIED:
        proxy = f"through proxy {access.proxy}" if access.proxy else ""
        return RegistryVerdict(result.registry, clustertrust.TRUSTED, proxy)
    why = ". ".join(part for part in (access.reason, access.next_step) if part)
    if access.verification == clustertrust.UNVERIFIABLE:
        return RegistryVerdict(result.registry, clustertrust.UNCLEAR, why)
    if result.answered_by:
        answer = f"{result.answered_by} answered, but which host redirected the kubelet there is unknown"
        return RegistryVerdict(result.registry, clustertrust.UNCLEAR, f"{answer}; {why}")
    return RegistryVerdict(result.registry, clustertrust.ACCEPTED, why)
