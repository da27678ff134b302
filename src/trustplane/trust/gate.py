"""Which machine of a cluster may take a changed trust set now: one first, the others when that one is proven. Pure.

The first is the *canary*. It is elected by a record in the Cluster, written before anything is on the node, so that
every replica of ours, and the next one after a crash, knows of it. A machine that does not run is passed over, and a
canary that no longer does is replaced by another.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import msgspec

from trustplane.api.annotations import UPDATE_IN_PROGRESS
from trustplane.api.clustertrust import (
    NOT_TRUSTED,
    TRUSTED,
    UNVERIFIABLE,
    VERIFIED,
    AppliedTrust,
    Inspection,
    ProofResult,
    RecordedProof,
    RegistryAccess,
)
from trustplane.trust import recorded

# Machines of one cluster that are written at the same time, once the canary is proven.
PARALLEL: Final = 10
# What a proof says where it says something about trust.
_DEFINITE: Final = (TRUSTED, NOT_TRUSTED)


class Move(Enum):
    """What a machine may do."""

    GO = "Go"
    ELECT = "Elect"  # go, once it is recorded as the canary
    WAIT = "Wait"
    STOP = "Stop"  # wait for somebody to correct the trust set


@dataclass(frozen=True)
class Permission:
    """What a machine may do, and why it may do nothing."""

    move: Move
    reason: str = ""


class Canary(msgspec.Struct, frozen=True):
    """The election, as annotation `trust-canary` of the Cluster records it.

    Attributes:
        digest: Of the set that was taken.
        machine: Name of the Machine.
        adds: Whether the set added or changed an entry on that node; a set that only removes is to prove less.
    """

    digest: str
    machine: str
    adds: bool = True

    @classmethod
    def read(cls, text: str) -> "Canary | None":
        """Read a record; None where there is none, or none that can be read."""
        return recorded.read(text, cls)

    def text(self) -> str:
        """Return the record."""
        return msgspec.json.encode(self).decode()


@dataclass(frozen=True)
class Member:
    """A machine of the cluster, as far as the gate looks at it.

    Attributes:
        name: Of the Machine.
        is_running: Whether its node runs, as far as Cluster API knows.
        is_updating: Whether Cluster API is updating it in place.
        applied: What was last written on it in place.
        proof: What its kubelet last said.
        inspection: How its node was last seen, also how that reaches registries.
    """

    name: str
    is_running: bool = True
    is_updating: bool = False
    applied: AppliedTrust = field(default_factory=AppliedTrust)
    proof: RecordedProof = field(default_factory=RecordedProof)
    inspection: Inspection = field(default_factory=Inspection)

    @classmethod
    def read(cls, name: str, annotations: Mapping[str, str], *, is_running: bool) -> "Member":
        """Read a machine out of its annotations; one that cannot be read says nothing."""
        return cls(
            name=name,
            is_running=is_running,
            is_updating=UPDATE_IN_PROGRESS in annotations,
            applied=recorded.applied(annotations) or AppliedTrust(),
            proof=recorded.proof(annotations) or RecordedProof(),
            inspection=recorded.inspection(annotations) or Inspection(),
        )

    def proof_of(self, digest: str) -> Mapping[str, ProofResult]:
        """Return what is proven about this set by registry; nothing where the node has changed since."""
        proof, applied = self.proof, self.applied
        if proof.digest != digest or applied.digest != digest or proof.at is None or applied.at is None:
            return {}
        return {one.registry: one for one in proof.results} if proof.at > applied.at else {}

    def access(self, digest: str, host: str) -> RegistryAccess:
        """Return how its node reaches a registry; where that was not seen since it has this set, only why."""
        seen, applied = self.inspection, self.applied
        if seen.digest != digest or applied.digest != digest or seen.at is None or applied.at is None:
            return RegistryAccess()
        if seen.at <= applied.at:
            return RegistryAccess()
        known = next((one for one in seen.registries if one.registry == host), None)
        return known or RegistryAccess(reason=seen.refusal or seen.error)


@dataclass(frozen=True)
class Scene:
    """A cluster in which a changed set is on its way.

    Attributes:
        digest: Of the set.
        members: The machines of the cluster.
        canary: Who was elected last, perhaps for another set.
        registries: Hosts of the registries that the cluster is to trust.
        change: For people: what the set changes, by name and fingerprint.
    """

    digest: str
    members: tuple[Member, ...]
    canary: Canary | None = None
    registries: tuple[str, ...] = ()
    change: str = ""


def permit(name: str, scene: Scene) -> Permission:
    """Decide what the machine of that name may do."""
    canary = _canary(scene)
    if canary is None:
        return Permission(Move.ELECT)
    if canary.name == name:
        return Permission(Move.GO)
    if (held := _held(canary, scene)) is not None:
        return held
    return _turn(name, scene)


def _canary(scene: Scene) -> Member | None:
    """Return the canary of this set; None where there is none yet, or it cannot say anything any more."""
    if scene.canary is None or scene.canary.digest != scene.digest:
        return None
    found = next((one for one in scene.members if one.name == scene.canary.machine), None)
    if found is None:
        return None
    # One that went down after it was proven has said what there is to say.
    return found if found.is_running or _held(found, scene) is None else None


def _held(canary: Member, scene: Scene) -> Permission | None:
    """Return why the others may not go; None where they may."""
    if canary.applied.digest != scene.digest:
        return Permission(Move.WAIT, f"Machine {canary.name} takes the changed trust first")
    proof = canary.proof_of(scene.digest)
    for host in scene.registries:
        if (held := _judged(canary, scene, host, proof.get(host))) is not None:
            return held
    return None


def _judged(canary: Member, scene: Scene, host: str, result: ProofResult | None) -> Permission | None:
    adds = scene.canary is None or scene.canary.adds
    access = canary.access(scene.digest, host)
    if result is not None and result.verdict == NOT_TRUSTED:
        return _stop(canary, scene, host, result) if adds else None
    # No pull of this node can prove that registry, whatever comes: it counts as if nobody had made it.
    if access.verification == UNVERIFIABLE:
        return None
    if result is None or result.verdict not in _DEFINITE:
        why = f": {result.message}" if result and result.message else ""
        return Permission(Move.WAIT, f"Waiting for the proof of registry {host} on Machine {canary.name}{why}")
    if access.verification == VERIFIED or not adds:
        return None
    why = ". ".join(part for part in (access.reason, access.next_step) if part)
    return Permission(
        Move.WAIT,
        f"The node of Machine {canary.name} accepted registry {host}. Waiting until it is seen over SSH whether it"
        f" verified its certificate{f': {why}' if why else ''}",
    )


def _stop(canary: Member, scene: Scene, host: str, result: ProofResult) -> Permission:
    return Permission(
        Move.STOP,
        f"Stopped: after the change, the node of Machine {canary.name} does not trust registry {host}"
        f" ({result.message}). The change was: {scene.change}."
        " Correct the trust list; the other machines keep what they had",
    )


def _turn(name: str, scene: Scene) -> Permission:
    """Let so many machines go at a time, by name; those that do not run take nobody's place."""
    ahead = [one for one in scene.members if one.is_updating and one.is_running and one.applied.digest != scene.digest]
    first = sorted(one.name for one in ahead)[:PARALLEL]
    if name in first or len(first) < PARALLEL:
        return Permission(Move.GO)
    return Permission(Move.WAIT, f"{PARALLEL} other machines of the cluster are being updated")
