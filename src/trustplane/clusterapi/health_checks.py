"""Decide whether a MachineHealthCheck makes the owner of a machine replace it. Pure.

Source: sigs.k8s.io/cluster-api v1.14.2, core/reconcilers/machinehealthcheck (getMachinesFromMHC, needsRemediation,
patchUnhealthyTargets): a Machine with annotation `remediate-machine` is unhealthy for each check that selects it; and
core/reconcilers/topology/cluster (getCurrentControlPlaneState, reconcileMachineHealthCheck).
"""

from collections.abc import Iterable

from trustplane.api.annotations import PAUSED, SKIP_REMEDIATION, TOPOLOGY_OWNED_LABEL
from trustplane.api.clusterapi import Machine, MachineHealthCheck


def is_replaced_by_health_check(checks: Iterable[MachineHealthCheck], machine: Machine) -> bool:
    """Return whether one of the checks makes the owner of a machine replace it, once it is marked.

    A check with a remediation template delegates to another controller, which may reboot the machine instead. Without a
    controller, nothing replaces the machine.
    """
    metadata = machine.metadata
    is_excluded = PAUSED in metadata.annotations or SKIP_REMEDIATION in metadata.annotations
    is_owned = any(owner.controller for owner in metadata.owner_references)
    return (
        is_owned
        and not is_excluded
        and any(_is_active(check) and _selects(check, machine) and _is_kept(check, machine) for check in checks)
    )


def _is_active(check: MachineHealthCheck) -> bool:
    metadata = check.metadata
    is_inactive = metadata.deletion_timestamp is not None or PAUSED in metadata.annotations
    return not is_inactive and check.spec.remediation.template_ref is None


def _selects(check: MachineHealthCheck, machine: Machine) -> bool:
    selector = check.spec.selector
    is_empty = not selector.match_labels and not selector.match_expressions  # selects nothing in Cluster API
    is_of_cluster = check.metadata.namespace == machine.metadata.namespace and (
        check.spec.cluster_name == machine.spec.cluster_name
    )
    return is_of_cluster and not is_empty and selector.selects(machine.metadata.labels)


def _is_kept(check: MachineHealthCheck, machine: Machine) -> bool:
    """Return whether Cluster API keeps a check.

    In a cluster with a topology, the name of a machine's owner is reserved for the check that the topology defines:
    Cluster API deletes any other check with this name within seconds.
    """
    is_reserved = any(
        owner.controller and owner.name == check.metadata.name for owner in machine.metadata.owner_references
    )
    has_topology = TOPOLOGY_OWNED_LABEL in machine.metadata.labels
    return not (has_topology and is_reserved) or TOPOLOGY_OWNED_LABEL in check.metadata.labels
