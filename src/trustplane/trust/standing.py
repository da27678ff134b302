"""Where a node stands: what is known of it, and what that means for the trust that it is to have. Pure.

Nothing is believed that is older than the node's last change: a proof, or a look at its files, from before it says
nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from trustplane.api import clustertrust
from trustplane.api.clustertrust import Inspection, ProofResult, RecordedProof
from trustplane.trust.entries import SHORT

# What a result means for its node, the worst first.
_MEANINGS: Final = (
    (clustertrust.NOT_TRUSTED, clustertrust.NOT_TRUSTED),
    (clustertrust.UNCLEAR, clustertrust.FAILED),
    (clustertrust.UNREACHABLE, clustertrust.UNREACHABLE),
)


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """What is known of a node."""

    machine: str
    created: datetime
    node: str = ""  # empty before there is a Node
    digest: str = ""  # of the set that was last written on it, or its first digits; empty: not known
    changed: datetime | None = None  # when that was; None: at its creation
    method: str = clustertrust.BOOTSTRAP
    is_updating: bool = False  # an update in place goes on
    is_up_to_date: bool = True  # Cluster API has nothing to change on it
    is_configured: bool = True  # its configuration names the set that it has; else that is about to be
    update_error: str = ""  # why its update in place does not get on
    silence: str = ""  # why its kubelet is held to be out of reach; empty: it is not
    proof: RecordedProof | None = None
    inspection: Inspection | None = None

    @property
    def changed_at(self) -> datetime:
        """When what it trusts was last changed."""
        return self.changed or self.created

    @property
    def valid_proof(self) -> RecordedProof | None:
        """The proof, if it is about the set that the node has, and newer than its last change."""
        proof = self.proof
        fits = proof is not None and same(proof.digest, self.digest) and self._is_after_change(proof.at)
        return proof if fits else None

    @property
    def valid_inspection(self) -> Inspection | None:
        """The look at its files, if it is as new."""
        look = self.inspection
        fits = look is not None and same(look.digest, self.digest) and self._is_after_change(look.at)
        return look if fits else None

    def _is_after_change(self, time: datetime | None) -> bool:
        return time is not None and time > self.changed_at

    def is_moving(self, in_force: str) -> bool:
        """Tell whether the set in force is on its way to it, so that nothing is to be asked of it yet."""
        return not same(self.digest, in_force) and (self.is_updating or not self.is_up_to_date or not self.digest)


@dataclass(frozen=True)
class Standing:
    """The state of a node's trust.

    Attributes:
        state: One of `clustertrust.STATES`.
        message: What happened, why, what to do next.
        since: Since when, where the facts tell; else None.
    """

    state: str
    message: str = ""
    since: datetime | None = None


def same(one: str, other: str) -> bool:
    """Compare digests, either of which may be cut to its first digits; unknown ones are equal to none."""
    return bool(one) and one[:SHORT] == other[:SHORT]


def standing(facts: NodeFacts, in_force: str, hosts: Collection[str]) -> Standing:
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


def _on_its_way(facts: NodeFacts, in_force: str) -> Standing | None:
    if facts.update_error and not same(facts.digest, in_force):
        return Standing(clustertrust.FAILED, f"its update in place fails: {facts.update_error}")
    if facts.silence:
        return Standing(clustertrust.UNREACHABLE, facts.silence)
    if not facts.node:
        return Standing(clustertrust.PENDING, "it is being made", facts.created)
    if same(facts.digest, in_force):
        return None
    if facts.is_moving(in_force):
        how = "is being updated in place" if facts.is_updating else "waits for its turn in the update"
        return Standing(clustertrust.PENDING, f"it has set {short(facts.digest)} and {how} to {short(in_force)}")
    return Standing(
        clustertrust.OUTDATED,
        f"it has set {short(facts.digest)}, its cluster's is {short(in_force)}, and no update of it goes on. "
        "One that Cluster API has lost is taken up within a minute. Delete its Machine to have it replaced",
    )


def short(digest: str) -> str:
    """Return the first digits of a digest, for people."""
    return digest[:SHORT] or "(unknown)"


def _inspected(facts: NodeFacts, hosts: Collection[str]) -> Standing | None:
    look = facts.valid_inspection
    if look is not None and look.refusal:
        return Standing(clustertrust.FAILED, look.refusal, look.at)
    if look is None or not look.message:
        return None
    refused = [one for one in _results(facts, hosts) if one.verdict == clustertrust.NOT_TRUSTED]
    return Standing(clustertrust.OUTDATED, "; ".join([look.message, *map(told, refused)]), look.at)


def _asked(facts: NodeFacts, hosts: Collection[str]) -> Standing:
    proof = facts.valid_proof
    if not hosts:
        return Standing(
            clustertrust.APPLIED, "no Registry selects its cluster: there is nothing to prove", facts.changed
        )
    results = _results(facts, hosts)
    for verdict, state in _MEANINGS:
        told_of = [told(one) for one in results if one.verdict == verdict]
        if told_of:
            return Standing(state, "; ".join(told_of))
    missing = sorted(set(hosts) - {one.registry for one in results})
    if missing:
        return Standing(clustertrust.APPLIED, f"no proof since its last change: {', '.join(missing)}", facts.changed_at)
    return Standing(clustertrust.PROVEN, "", proof.at if proof else None)


def _results(facts: NodeFacts, hosts: Collection[str]) -> Sequence[ProofResult]:
    proof = facts.valid_proof
    return [one for one in proof.results if one.registry in hosts] if proof else []


def told(result: ProofResult) -> str:
    """Return a result in words."""
    words = {
        clustertrust.TRUSTED: f"{result.registry} is trusted",
        clustertrust.NOT_TRUSTED: f"{result.registry} is not trusted",
        clustertrust.UNREACHABLE: f"{result.registry} cannot be reached from the node",
    }
    what = words.get(result.verdict, f"{result.registry}: the kubelet's answer is not understood")
    return f"{what}: {result.message}" if result.message else what
