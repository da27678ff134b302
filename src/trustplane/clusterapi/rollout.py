"""How a changed trust set rolls over machines: in place under a strategy of ours, or as anything else does. Pure.

Cluster API updates in place only what it would otherwise take away: with its default (one machine more, none less) it
makes a machine first. So for as long as nothing but trust changes, and only then, pools have a strategy that makes no
machine; several machines may be under way at once, since restarting containerd stops no pod (`trust.gate` lets one go
first). Should such a roll turn out to need new machines after all, the extension refuses it (`server.inplace`), and the
pools get their own strategy back before one machine is replaced.

Source: sigs.k8s.io/cluster-api v1.14.2, core/reconcilers/machinedeployment/machinedeployment_rollout_rollingupdate.go,
controlplane/kubeadm/reconcilers/kubeadmcontrolplane/update.go.
"""

from collections.abc import Iterable
from typing import Final

from trustplane.api.annotations import (
    DEPLOYMENT_NAME_LABEL,
    IN_PLACE_REFUSED,
    ROLLOUT,
    UPDATE_IN_PROGRESS,
    UPDATE_STRATEGY,
)
from trustplane.api.clusterapi import Cluster, KubeadmConfig, Machine
from trustplane.api.meta import Json
from trustplane.clusterapi.machine_facts import silence
from trustplane.clusterapi.readiness import Observed, is_rolled_out, is_rolling
from trustplane.trust.places import place
from trustplane.trust.policy import IN_PLACE, REPLACE
from trustplane.trust.propagation import Decision, Frozen

# Machines of one pool that are updated in place at the same time.
MAX_UNAVAILABLE: Final = 10
MACHINE_DEPLOYMENT_STRATEGY: Final[Json] = {
    "type": "RollingUpdate",
    "rollingUpdate": {"maxSurge": 0, "maxUnavailable": MAX_UNAVAILABLE},
}
CONTROL_PLANE_STRATEGY: Final[Json] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0}}
# Cluster API allows no control plane of fewer machines to go without one more.
CONTROL_PLANE_REPLICAS: Final = 3


def rollout(decision: Decision, strategy: str, observed: Observed) -> str:
    """Decide how machines get to what the Cluster asks for from now on.

    Args:
        decision: About the trust of the cluster.
        strategy: Policy `update-strategy` of the cluster.
        observed: What there is of the cluster.

    Returns:
        `InPlace`, `Replace` (nobody may update in place), or nothing: as Cluster API and the ClusterClass say.
    """
    if strategy == REPLACE:
        return REPLACE
    before = observed.cluster
    if before is None or decision.frozen is None:
        return ""
    frozen, annotations = Frozen.read(before.metadata.annotations), before.metadata.annotations
    if frozen is None or _is_other_update(frozen, decision.frozen):
        return ""
    if annotations.get(IN_PLACE_REFUSED) == decision.frozen.digest:
        return ""
    is_in_place = annotations.get(ROLLOUT) == IN_PLACE
    if decision.taken:
        # Machines that are being replaced for another reason go on so, and have the changed set when they come.
        return IN_PLACE if is_in_place or not is_rolling(observed) else ""
    return IN_PLACE if is_in_place and not is_rolled_out(observed) else ""


def held_trust(decision: Decision, how: str, before: Cluster | None, *, replicas: int, may_change: bool) -> Json | None:
    """Return the value of variable `trust` that a control plane of fewer than three machines keeps for now.

    It has what it had until the pools are done, so that a set that the gate stops never reaches it, and until it is
    paused, so that Cluster API does not replace it.

    Args:
        decision: About the trust of the cluster.
        how: See `rollout`.
        before: The Cluster as it is.
        replicas: Of the control plane.
        may_change: Whether every worker has the set in force, see `are_updated`, and the control plane is paused, see
            `small_control_plane.is_paused`.
    """
    if how != IN_PLACE or before is None or replicas >= CONTROL_PLANE_REPLICAS:
        return None
    held: Json | None = before.control_plane_override("trust")
    if decision.taken:
        return held or before.variable("trust") or {"additionalTrustedCAs": []}
    return None if may_change else held


def are_updated(machines: Iterable[Machine], configs: Iterable[KubeadmConfig], secret: str) -> bool:
    """Tell whether every worker has been made with, or updated in place to, the set of that Secret.

    Counts of Cluster API cannot tell that: they follow the machines with a delay. A worker that is off takes the set
    when it returns, and keeps nobody waiting but where all are off: then nobody has proven the set.

    Args:
        machines: All machines of the cluster.
        configs: All bootstrap configurations of the cluster; an update in place changes them when it begins.
        secret: Name of the Secret; empty for the empty set.
    """
    workers = [one for one in machines if DEPLOYMENT_NAME_LABEL in one.metadata.labels]
    wanted = {secret} if secret else set()
    of = {one.metadata.name: one for one in configs}
    return all(
        UPDATE_IN_PROGRESS not in one.metadata.annotations
        and _secrets(of.get(one.spec.bootstrap.config_ref.name)) == wanted
        for one in [one for one in workers if not silence(one)] or workers
    )


def _secrets(config: KubeadmConfig | None) -> set[str] | None:
    if config is None:
        return None
    files = config.spec.files
    return {file.content_from.secret.name for file in files if file.content_from and place(file.path)}


def _is_other_update(before: Frozen, after: Frozen) -> bool:
    known = before.update_digests
    return any(after.update_digests.get(part, digest) != digest for part, digest in known.items())


def is_replace(cluster_annotations: dict[str, str]) -> bool:
    """Tell whether machines of a Cluster are to be replaced, whatever differs."""
    return (cluster_annotations.get(ROLLOUT) or cluster_annotations.get(UPDATE_STRATEGY)) == REPLACE


def is_ours(machine_set: Json) -> bool:
    """Tell whether a MachineSet is rolled out under our strategy; its annotations are its MachineDeployment's."""
    annotations = (machine_set.get("metadata") or {}).get("annotations") or {}
    return bool(annotations.get(ROLLOUT) == IN_PLACE)
