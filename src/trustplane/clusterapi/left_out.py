"""What of a Cluster has no part in its trust: overrides of variable `trust`, and MachinePools. Pure.

Trust is one set for a whole cluster: each machine boots with Secret `<cluster>-trust`, and each node is given the same.
Source: sigs.k8s.io/cluster-api/api v1.14.2, core/v1beta2/cluster_types.go (Topology, WorkersTopology).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from trustplane.api.annotations import TRUST_SECRET
from trustplane.api.clusterapi import Cluster
from trustplane.api.clustertrust import MACHINE_POOLS, OVERRIDES, WHOLE_CLUSTER
from trustplane.api.conditions import FALSE
from trustplane.api.fields import field
from trustplane.api.meta import Condition, Json
from trustplane.certificates.finding import Finding, Severity

TRUST_VARIABLE: Final = "trust"
TOPOLOGY_PATH: Final = "spec.topology"
MACHINE_DEPLOYMENTS_FIELD, MACHINE_POOLS_FIELD = "machineDeployments", "machinePools"
_SHOWN: Final = 5  # MachinePools in a message

TRUST_OVERRIDE: Final = Finding(
    code="trust-override",
    what="An override of variable trust has no effect: trust is for the whole cluster",
    why="All its machines boot with one set, and all its nodes are given the same",
    next_step="Take it out, and set trust in spec.topology.variables",
)
STORED_TRUST_OVERRIDE: Final = replace(TRUST_OVERRIDE, severity=Severity.WARNING)


def overrides(cluster: Json) -> Mapping[str, Any]:
    """Return the values by which the control plane or pools override variable `trust`, by their place."""
    return {
        f"{place}.variables.overrides[{TRUST_VARIABLE}]": one.get("value")
        for place, group in _groups(cluster)
        for one in field(group, "variables", "overrides") or ()
        if one.get("name") == TRUST_VARIABLE
    }


def _groups(cluster: Json) -> Iterator[tuple[str, Json]]:
    yield f"{TOPOLOGY_PATH}.controlPlane", field(cluster, "spec", "topology", "controlPlane") or {}
    for kind in (MACHINE_DEPLOYMENTS_FIELD, MACHINE_POOLS_FIELD):
        for pool in field(cluster, "spec", "topology", "workers", kind) or ():
            yield f"{TOPOLOGY_PATH}.workers.{kind}[{pool.get('name')}]", pool


def exclusion_findings(after: Json, before: Json | None) -> list[Finding]:
    """Judge a Cluster that is to be stored: an override that is there already must not stop other changes."""
    stored, written = overrides(before) if before else {}, overrides(after)
    found = [
        (STORED_TRUST_OVERRIDE if place in stored and stored[place] == value else TRUST_OVERRIDE).at(place)
        for place, value in written.items()
    ]
    pools = _pools(after) if _takes_trust(after) else []
    if pools and (before is None or pools != _pools(before) or not _takes_trust(before)):
        found.append(machine_pools_finding(pools).at(f"{TOPOLOGY_PATH}.workers.{MACHINE_POOLS_FIELD}"))
    return found


def machine_pools_finding(names: Sequence[str]) -> Finding:
    """Return the finding about MachinePools of a Cluster that takes trust."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return Finding(
        code="machine-pools",
        severity=Severity.WARNING,
        what=f"Trustplane gives MachinePools no trust: {', '.join(names[:_SHOWN])}{more}",
        why="Their machines share bootstrap data, and may have no Machine that says what is on the node",
        next_step="Have nodes that pull from private registries in machineDeployments",
    )


def _takes_trust(cluster: Json) -> bool:
    variables = field(cluster, "spec", "topology", "variables") or ()
    is_asked = TRUST_SECRET in (field(cluster, "metadata", "annotations") or {})
    return is_asked or any(one.get("name") == TRUST_VARIABLE for one in variables)


def _pools(cluster: Json) -> list[str]:
    return [str(one.get("name")) for one in field(cluster, "spec", "topology", "workers", MACHINE_POOLS_FIELD) or ()]


def exclusion_condition(cluster: Cluster) -> Condition | None:
    """Return what a Cluster whose trust is watched has that takes no part in it; None where there is nothing."""
    body = {"spec": {"topology": msgspec.to_builtins(cluster.spec.topology)}}
    pools = _pools(body)
    found = [TRUST_OVERRIDE.at(place) for place in overrides(body)]
    reason = OVERRIDES if found else MACHINE_POOLS
    findings = [*found, *([machine_pools_finding(pools)] if pools else [])]
    message = ". ".join(str(one) for one in findings)
    return Condition(type=WHOLE_CLUSTER, status=FALSE, reason=reason, message=message) if findings else None
