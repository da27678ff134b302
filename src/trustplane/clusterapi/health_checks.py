"""MachineHealthChecks: which of them has the owner of a machine replace it. Pure.

Source: sigs.k8s.io/cluster-api v1.14.2, core/reconcilers/machinehealthcheck (getMachinesFromMHC, needsRemediation,
patchUnhealthyTargets): a Machine with annotation `remediate-machine` is unhealthy for each check that selects it.
"""

from collections.abc import Iterable

from trustplane.api.annotations import PAUSED, SKIP_REMEDIATION
from trustplane.api.clusterapi import Machine, MachineHealthCheck


def is_replaced_by_health_check(checks: Iterable[MachineHealthCheck], machine: Machine) -> bool:
    """Tell whether a check would have the owner of a machine replace it.

    A check with a remediation template hands the machine to somebody else, who may reboot it; a machine without a
    controller has nobody who would make another.
    """
    metadata = machine.metadata
    is_left = PAUSED in metadata.annotations or SKIP_REMEDIATION in metadata.annotations
    is_owned = any(one.controller for one in metadata.owner_references)
    return is_owned and not is_left and any(_is_active(one) and _selects(one, machine) for one in checks)


def _is_active(check: MachineHealthCheck) -> bool:
    metadata = check.metadata
    is_going = metadata.deletion_timestamp is not None or PAUSED in metadata.annotations
    return not is_going and check.spec.remediation.template_ref is None


def _selects(check: MachineHealthCheck, machine: Machine) -> bool:
    selector = check.spec.selector
    is_empty = not selector.match_labels and not selector.match_expressions  # Cluster API has it select nothing
    is_of_cluster = check.metadata.namespace == machine.metadata.namespace and (
        check.spec.cluster_name == machine.spec.cluster_name
    )
    return is_of_cluster and not is_empty and selector.selects(machine.metadata.labels)
