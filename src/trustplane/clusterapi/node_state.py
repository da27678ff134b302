"""Where a node stands: what is known of it, and what that means for the trust that it is to have. Pure.

Nothing is believed that is older than the node's last change: a proof, or a look at its files, from before it says
nothing.

A kubelet's words say that TLS was accepted, never that a certificate was verified. So a registry is trusted where both
are known: its kubelet's answer, and that its runtime asks the registry itself and verifies (`RegistryAccess`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from trustplane.api import clustertrust
from trustplane.api.clustertrust import Hindrance, Inspection, ProofResult, RecordedProof, RegistryAccess
from trustplane.trust.entries import SHORT

# What a result means for its node, the worst first.
_MEANINGS: Final = (
    (clustertrust.NOT_TRUSTED, clustertrust.NOT_TRUSTED),
    (clustertrust.UNREACHABLE, clustertrust.UNREACHABLE),
    (clustertrust.UNCLEAR, clustertrust.UNCLEAR),
)
# How much older than a proof the look may be that says how registries are reached: both are done every hour, and a look
# that fails is tried again.
MAX_ACCESS_AGE: Final = timedelta(hours=2)
_UNSEEN: Final = "the node was not looked at yet"
_SEE: Final = "It needs SSH to the node, by Secret <cluster>-ssh"


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """What is known of a node."""

    machine: str
    created: datetime
    node: str = ""  # empty before there is a Node
    digest: str = ""  # of the set that was last written on it; empty: not known
    changed: datetime | None = None  # when that was; None: at its creation
    method: str = clustertrust.BOOTSTRAP
    boot_digest: str = ""  # digest of the set that its bootstrap data had; empty: not known
    is_partial: bool = False  # it has only the part of that set for which its bootstrap data had room
    only_removes: bool = False  # what was last written on it removed entries, and added or changed none
    is_busy: bool = False  # Cluster API is updating it
    update_error: Hindrance | None = None  # why writing on it failed last
    unreachable_reason: str = ""  # why its kubelet is held to be out of reach; empty: it is not
    proof: RecordedProof | None = None
    inspection: Inspection | None = None
    ignored_annotations: tuple[str, ...] = ()  # annotations that are there and count as absent

    @property
    def changed_at(self) -> datetime:
        """When what it trusts was last changed."""
        return self.changed or self.created

    @property
    def valid_proof(self) -> RecordedProof | None:
        """The proof, if it is about the set that the node has, and newer than its last change."""
        proof = self.proof
        fits = proof is not None and is_same_digest(proof.digest, self.digest) and self._is_after_change(proof.at)
        return proof if fits else None

    @property
    def valid_inspection(self) -> Inspection | None:
        """The look at its files, if it is as new."""
        look = self.inspection
        fits = look is not None and is_same_digest(look.digest, self.digest) and self._is_after_change(look.at)
        return look if fits else None

    def registry_access(self, hosts: Iterable[str]) -> Mapping[str, RegistryAccess]:
        """How its runtime reaches registries, as far as that is known for the time of the proof."""
        look, proof = self.valid_inspection, self.valid_proof
        reason, next_step, seen = _UNSEEN, _SEE, dict[str, RegistryAccess]()
        if look is not None and (why := look.refusal or look.error):
            reason, next_step = f"the node could not be looked at: {why}", ""
        if (
            look is not None
            and proof
            and proof.at
            and look.registries_at
            and proof.at - look.registries_at > MAX_ACCESS_AGE
        ):
            reason = reason if next_step == "" else "the node was last looked at long before its kubelet answered"
        elif look is not None:
            seen = {one.registry: one for one in reversed(look.registries) if one.verification in _VERIFICATIONS}
        return {host: seen.get(host) or _unseen(host, reason, next_step) for host in hosts}

    def _is_after_change(self, time: datetime | None) -> bool:
        return time is not None and time > self.changed_at

    def has_set(self, digest: str) -> bool:
        """Tell whether that set, all of it, was written on it; until then nothing is to be asked of it."""
        return is_same_digest(self.digest, digest) and not self.is_partial

    def write_error(self, digest: str) -> str:
        """Why writing that set on it failed last; empty where it did not."""
        found = self.update_error
        return found.message if found and not self.has_set(digest) and is_same_digest(found.digest, digest) else ""


_VERIFICATIONS: Final = (clustertrust.VERIFIED, clustertrust.UNVERIFIABLE, clustertrust.UNREADABLE)


def _unseen(host: str, reason: str, next_step: str) -> RegistryAccess:
    return RegistryAccess(registry=host, verification=clustertrust.UNREADABLE, reason=reason, next_step=next_step)


@dataclass(frozen=True)
class NodeState:
    """The state of a node's trust.

    Attributes:
        state: One of `clustertrust.STATES`.
        message: What happened, why, what to do next.
        since: Since when, where the facts tell; else None.
    """

    state: str
    message: str = ""
    since: datetime | None = None


def is_same_digest(one: str, other: str) -> bool:
    """Compare digests, either of which may be cut to its first digits; unknown ones are equal to none."""
    return bool(one) and one[:SHORT] == other[:SHORT]


def node_state(facts: NodeFacts, in_force: str, hosts: Collection[str]) -> NodeState:
    """Say where a node stands.

    Args:
        facts: What is known of it.
        in_force: Digest of the set that its cluster has taken.
        hosts: The registries that it is to trust.
    """
    found = _on_its_way(facts, in_force) or _inspected(facts, hosts) or _asked(facts, hosts)
    look = facts.valid_inspection
    if look is None or not look.hidden:
        return found
    return replace(found, message="; ".join(part for part in (found.message, look.hidden) if part))


def _on_its_way(facts: NodeFacts, in_force: str) -> NodeState | None:
    if facts.unreachable_reason:
        return NodeState(clustertrust.UNREACHABLE, facts.unreachable_reason)
    if error := facts.write_error(in_force):
        return NodeState(clustertrust.FAILED, f"writing set {short_digest(in_force)} on it failed: {error}")
    if not facts.node:
        return NodeState(clustertrust.PENDING, "it is being made", facts.created)
    if facts.has_set(in_force):
        return None
    part = "a part of " if facts.is_partial else ""
    return NodeState(
        clustertrust.PENDING,
        f"it has {part}set {short_digest(facts.digest)} and waits for its turn to get {short_digest(in_force)}",
    )


def short_digest(digest: str) -> str:
    """Return the first digits of a digest, for people."""
    return digest[:SHORT] or "(unknown)"


def _inspected(facts: NodeFacts, hosts: Collection[str]) -> NodeState | None:
    look = facts.valid_inspection
    if look is not None and look.refusal:
        return NodeState(clustertrust.FAILED, look.refusal, look.at)
    if look is None or not look.message:
        return None
    refused = [one for one in registry_verdicts(facts, hosts) if one.verdict == clustertrust.NOT_TRUSTED]
    return NodeState(clustertrust.OUTDATED, "; ".join([look.message, *(one.sentence for one in refused)]), look.at)


def _asked(facts: NodeFacts, hosts: Collection[str]) -> NodeState:
    proof = facts.valid_proof
    if not hosts:
        return NodeState(
            clustertrust.APPLIED, "no Registry selects its cluster: there is nothing to prove", facts.changed
        )
    judged = registry_verdicts(facts, hosts)
    for verdict, state in _MEANINGS:
        if words := [one.sentence for one in judged if one.verdict == verdict]:
            return NodeState(state, "; ".join(words))
    missing = sorted(set(hosts) - {one.registry for one in judged})
    if missing:
        return NodeState(
            clustertrust.APPLIED, f"no proof since its last change: {', '.join(missing)}", facts.changed_at
        )
    at = proof.at if proof else None
    if unseen := [one.sentence for one in judged if one.verdict == clustertrust.ACCEPTED]:
        return NodeState(clustertrust.ACCEPTED, "; ".join(unseen), at)
    return NodeState(clustertrust.PROVEN, "; ".join(one.sentence for one in judged if one.message), at)


@dataclass(frozen=True)
class RegistryVerdict:
    """What a node's answer about a registry comes to.

    Attributes:
        registry: Its host.
        verdict: One of `clustertrust.VERDICTS`, or ACCEPTED: TLS was accepted, and whether the registry's certificate
            was verified was not seen. TRUSTED says that it was.
        message: Why, and what to do.
    """

    registry: str
    verdict: str
    message: str = ""

    @property
    def sentence(self) -> str:
        """The judgement in words."""
        return (
            f"{_WORDS[self.verdict].format(self.registry)}: {self.message}"
            if self.message
            else (_WORDS[self.verdict].format(self.registry))
        )


_WORDS: Final = {
    clustertrust.TRUSTED: "{} is trusted",
    clustertrust.ACCEPTED: "{} was accepted, and whether its certificate was verified was not seen",
    clustertrust.NOT_TRUSTED: "{} is not trusted",
    clustertrust.UNREACHABLE: "{} cannot be reached from the node",
    clustertrust.UNCLEAR: "{}: whether it is trusted is not clear",
}


def registry_verdicts(facts: NodeFacts, hosts: Collection[str]) -> Sequence[RegistryVerdict]:
    """Return what a node's valid proof comes to, by registry; those that it says nothing of are left out."""
    proof, access = facts.valid_proof, facts.registry_access(hosts)
    return (
        [registry_verdict(one, access[one.registry]) for one in proof.results if one.registry in hosts] if proof else []
    )


def registry_verdict(result: ProofResult, access: RegistryAccess) -> RegistryVerdict:
    """Judge a kubelet's answer by how its node reaches the registry."""
    if result.verdict != clustertrust.TRUSTED:
        verdict = result.verdict if result.verdict in _WORDS else clustertrust.UNCLEAR
        return RegistryVerdict(result.registry, verdict, result.message)
    if access.verification == clustertrust.VERIFIED:
        proxy = f"through proxy {access.proxy}" if access.proxy else ""
        return RegistryVerdict(result.registry, clustertrust.TRUSTED, proxy)
    why = ". ".join(part for part in (access.reason, access.next_step) if part)
    if access.verification == clustertrust.UNVERIFIABLE:
        return RegistryVerdict(result.registry, clustertrust.UNCLEAR, why)
    if result.answered_by:
        named = f"{result.answered_by} answered, and who sent the kubelet there was not seen"
        return RegistryVerdict(result.registry, clustertrust.UNCLEAR, f"{named}; {why}")
    return RegistryVerdict(result.registry, clustertrust.ACCEPTED, why)
