"""A control plane of one or two machines takes changed trust in place: which step is next. Pure.

Cluster API updates a control plane in place only under `maxSurge: 0`, which it refuses below three machines. But it
leaves a machine alone whose KubeadmConfig is what the KubeadmControlPlane asks for, however that came to be. So while
the KubeadmControlPlane is paused by an annotation of ours, its `files` change, each machine's node and KubeadmConfig
take them, and the pause ends: nothing is left to do.

Nothing is remembered but what the objects say, so that any step may be the first one after a crash. Whatever goes
wrong, ending the pause is safe: Cluster API then replaces what differs, as it does without us.

Source: sigs.k8s.io/cluster-api v1.14.2, controlplane/kubeadm/pkg/filters.go (UpToDate), util/paused/paused.go.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from trustplane.api import clusterapi
from trustplane.api.annotations import IN_PLACE_REFUSED, PAUSED, ROLLOUT, TRUST_DIGEST
from trustplane.api.clusterapi import Cluster, KubeadmControlPlane, Machine
from trustplane.api.conditions import FALSE, TRUE
from trustplane.api.meta import Condition, Json, condition
from trustplane.clusterapi.inplace import trust_files
from trustplane.clusterapi.inplace_files import trust_file
from trustplane.clusterapi.machine_facts import applied_digest
from trustplane.clusterapi.readiness import is_reconciled
from trustplane.clusterapi.rollout import CONTROL_PLANE_REPLICAS
from trustplane.clusterapi.secret import name_of
from trustplane.trust.entries import EMPTY, SHORT
from trustplane.trust.policy import IN_PLACE

# Value of our pause, before a digest of what the control plane was like; any other value is a user's.
PAUSE: Final = "trustplane.dev/in-place/"
# A pause that the Cluster does not follow ends after this time, and Cluster API has a while to itself before the next.
PATIENCE: Final = timedelta(minutes=5)
REST: Final = timedelta(seconds=10)


class Move(Enum):
    """What is to be done now."""

    NOTHING = "Nothing"
    WAIT = "Wait"
    PAUSE = "Pause"
    WRITE = "Write"  # the trust on the node of one machine
    COPY = "Copy"  # the control plane's files into the machine's KubeadmConfig
    HAND_BACK = "HandBack"  # the field `files` of it to Cluster API
    UNPAUSE = "Unpause"


@dataclass(frozen=True)
class Step:
    """The next step.

    Attributes:
        move: What to do.
        reason: Why, for people.
        machine: Name of the Machine that it is about, if it is about one.
    """

    move: Move
    reason: str = ""
    machine: str = ""


@dataclass(frozen=True)
class Member:
    """A machine of the control plane.

    Attributes:
        machine: The Machine.
        files: Of its KubeadmConfig; None where it has none, which Cluster API takes for "up to date".
        is_borrowed: Whether that field belongs to us, so that Cluster API could not remove it.
    """

    machine: Machine
    files: Sequence[Json] | None
    is_borrowed: bool = False

    @property
    def name(self) -> str:
        """Of the Machine."""
        return self.machine.metadata.name

    @property
    def applied(self) -> str:
        """Digest of the set that was last written on its node after its bootstrap; empty: none was."""
        return applied_digest(self.machine)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What there is of a cluster; the Cluster was read before the others.

    Attributes:
        cluster: None where it is gone.
        control_plane: Its KubeadmControlPlane.
        spec: The `spec` of that, whole.
        members: The machines of the control plane.
        are_pools_done: Whether every worker has the set in force, see `rollout.are_updated`.
        now: The time.
    """

    cluster: Cluster | None
    control_plane: KubeadmControlPlane
    spec: Json
    members: Sequence[Member]
    are_pools_done: bool
    now: datetime

    @property
    def files(self) -> Sequence[Json]:
        """What each machine's KubeadmConfig is to have."""
        return (self.spec.get("kubeadmConfigSpec") or {}).get("files") or []

    @property
    def pause(self) -> str | None:
        """Value of the pause; None where there is none."""
        return self.control_plane.metadata.annotations.get(PAUSED)


def is_ours(annotations: Mapping[str, str]) -> bool:
    """Tell whether a KubeadmControlPlane with these annotations is paused by us."""
    return annotations.get(PAUSED, "").startswith(PAUSE)


def is_paused(control_plane: KubeadmControlPlane | None) -> bool:
    """Tell whether it is paused by us, and Cluster API has seen it: whatever changes, no machine is replaced."""
    if control_plane is None or not is_ours(control_plane.metadata.annotations):
        return False
    found = _paused(control_plane)
    return found is not None and found.status == TRUE


def pause_value(spec: Json) -> str:
    """Return the value of our pause: it tells later whether the `spec` changed in more than trust."""
    config = spec.get("kubeadmConfigSpec") or {}
    others = [one for one in config.get("files") or [] if not trust_file(one)]
    template = (spec.get("machineTemplate") or {}).get("spec") or {}
    kept = [spec.get("version"), {**config, "files": others}, template.get("infrastructureRef")]
    return PAUSE + hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:SHORT]


def step(scene: Scene) -> Step:
    """Decide what is next."""
    ours = is_ours(scene.control_plane.metadata.annotations)
    if obstacle := _obstacle(scene):
        return Step(Move.UNPAUSE if ours else Move.NOTHING, obstacle)
    if _is_users(scene, ours=ours):
        return Step(Move.WAIT, "Somebody else has paused the control plane or its cluster")
    if scene.cluster is not None and scene.cluster.control_plane_override("trust"):
        return _held(scene, scene.cluster, ours=ours)
    return _released(scene) if ours else Step(Move.NOTHING, "Cluster API takes care of the control plane")


def _is_users(scene: Scene, *, ours: bool) -> bool:
    cluster = scene.cluster
    is_cluster_paused = cluster is not None and (cluster.spec.paused or PAUSED in cluster.metadata.annotations)
    return is_cluster_paused or (scene.pause is not None and not ours)


def _obstacle(scene: Scene) -> str:
    """Say why machines are left to Cluster API; empty where they are not."""
    cluster, control_plane = scene.cluster, scene.control_plane
    if cluster is None or cluster.metadata.deletion_timestamp or control_plane.metadata.deletion_timestamp:
        return "The cluster is being deleted"
    annotations = cluster.metadata.annotations
    digest = annotations.get(TRUST_DIGEST, "")
    if annotations.get(ROLLOUT) != IN_PLACE or annotations.get(IN_PLACE_REFUSED) == digest:
        return "Nothing is to be updated in place"
    if control_plane.spec.replicas >= CONTROL_PLANE_REPLICAS:
        return "Cluster API itself updates so many machines in place"
    if going := [one.name for one in scene.members if _is_going(one.machine)]:
        return f"Machine {going[0]} is being removed"
    if is_ours(control_plane.metadata.annotations) and scene.pause != pause_value(scene.spec):
        return "The control plane is to change in more than trust"
    return ""


def _is_going(machine: Machine) -> bool:
    remediated = condition(machine.status.conditions, clusterapi.OWNER_REMEDIATED)
    return machine.metadata.deletion_timestamp is not None or (remediated is not None and remediated.status == FALSE)


def _held(scene: Scene, cluster: Cluster, *, ours: bool) -> Step:
    """While the Cluster holds the control plane's set, what differs was begun for an earlier one."""
    is_settled = is_reconciled(cluster) and all(not _differs(scene, one) for one in scene.members)
    if not scene.are_pools_done:
        may_end = ours and is_settled
        return Step(Move.UNPAUSE if may_end else Move.WAIT, "The workers take the changed trust first")
    if ours and is_settled and _lasts(scene, TRUE, PATIENCE):
        return Step(Move.UNPAUSE, "The Cluster does not take the changed trust for its control plane")
    if ours:
        return Step(Move.WAIT, "The Cluster is to take the changed trust for its control plane")
    is_rested = _paused(scene.control_plane) is None or _lasts(scene, FALSE, REST)
    if not (is_settled and is_rested and _is_stable(scene)):
        return Step(Move.WAIT, "Cluster API is at work on the control plane")
    return Step(Move.PAUSE, "Trust is about to be written on the machines of the control plane")


def _differs(scene: Scene, member: Member) -> bool:
    return member.files is not None and [*member.files] != [*scene.files]


def _paused(control_plane: KubeadmControlPlane) -> Condition | None:
    return condition(control_plane.status.conditions, clusterapi.PAUSED)


def _lasts(scene: Scene, status: str, limit: timedelta) -> bool:
    """Tell whether the pause, or the time without one, lasts longer than that."""
    found = _paused(scene.control_plane)
    if found is None or found.status != status or found.last_transition_time is None:
        return False
    return scene.now - found.last_transition_time > limit


def _is_stable(scene: Scene) -> bool:
    status, replicas = scene.control_plane.status, scene.control_plane.spec.replicas
    is_seen = status.observed_generation >= scene.control_plane.metadata.generation
    counts = {status.replicas, status.up_to_date_replicas, len(scene.members)}
    return is_seen and counts == {replicas} and all(one.machine.status.node_ref.name for one in scene.members)


def _released(scene: Scene) -> Step:
    if not is_paused(scene.control_plane):
        return Step(Move.WAIT, "Cluster API is to see the pause")
    if scene.cluster is None or not _has(scene, scene.cluster):
        if scene.cluster is not None and is_reconciled(scene.cluster):
            return Step(Move.UNPAUSE, "The control plane does not have the set of its Cluster")
        return Step(Move.WAIT, "Cluster API is to write the changed trust into the control plane")
    digest = scene.cluster.metadata.annotations.get(TRUST_DIGEST, "")
    steps = [found for one in sorted(scene.members, key=lambda one: one.name) if (found := _next(scene, one, digest))]
    if steps and not scene.are_pools_done:
        return Step(Move.WAIT, "The workers take the changed trust first")
    return steps[0] if steps else Step(Move.UNPAUSE, "Every machine of the control plane has the trust")


def _has(scene: Scene, cluster: Cluster) -> bool:
    digest = cluster.metadata.annotations.get(TRUST_DIGEST, "")
    wanted = set() if digest == EMPTY.digest else {name_of(cluster.metadata.name, digest)}
    return {one.secret for one in trust_files(scene.files) if one.secret} == wanted


def _next(scene: Scene, member: Member, digest: str) -> Step | None:
    if member.files is None:
        return None
    differs = _differs(scene, member)
    if member.applied != digest and (differs or member.applied):
        return Step(Move.WRITE, "Its node is to take the trust", member.name)
    if differs:
        return Step(Move.COPY, "Its node has the trust", member.name)
    return Step(Move.HAND_BACK, "Its configuration is Cluster API's", member.name) if member.is_borrowed else None
