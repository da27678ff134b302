"""Report parts of a Cluster excluded from trust: overrides of variable `trust`, and MachinePools. Pure.

A cluster has one trust set: each machine boots with Secret `<cluster>-trust`, and each node receives the same set.
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
_MAX_NAMES: Final = 5  # MachinePools named in a message

TRUST_OVERRIDE: Final = Finding(
    code="trust-override",
    what="An override of variable trust has no effect: trust is for the whole cluster",
    why="All machines boot with the same set, and all nodes receive the same set",
    next_step="Remove the override and set trust in spec.topology.variables",
)
STORED_TRUST_OVERRIDE: Final = replace(TRUST_OVERRIDE, severity=Severity.WARNING)


def overrides(cluster: Json) -> Mapping[str, Any]:
    """Return the values with which the control plane or pools override variable `trust`, by path."""
    return {
        f"{path}.variables.overrides[{TRUST_VARIABLE}]": override.get("value")
        for path, group in _groups(cluster)
        for override in field(group, "variables", "overrides") or ()
        if override.get("name") == TRUST_VARIABLE
    }


def _groups(cluster: Json) -> Iterator[tuple[str, Json]]:
    yield f"{TOPOLOGY_PATH}.controlPlane", field(cluster, "spec", "topology", "controlPlane") or {}
    for kind in (MACHINE_DEPLOYMENTS_FIELD, MACHINE_POOLS_FIELD):
        for pool in field(cluster, "spec", "topology", "workers", kind) or ():
            yield f"{TOPOLOGY_PATH}.workers.{kind}[{pool.get('name')}]", pool


def exclusion_findings(after: Json, before: Json | None) -> list[Finding]:
    """Return the findings about a Cluster at admission: an override stored earlier must not block other changes."""
    stored, written = overrides(before) if before else {}, overrides(after)
    findings = [
        (STORED_TRUST_OVERRIDE if path in stored and stored[path] == value else TRUST_OVERRIDE).at(path)
        for path, value in written.items()
    ]
    pools = _pools(after) if _requests_trust(after) else []
    if pools and (before is None or pools != _pools(before) or not _requests_trust(before)):
        findings.append(machine_pools_finding(pools).at(f"{TOPOLOGY_PATH}.workers.{MACHINE_POOLS_FIELD}"))
    return findings


def machine_pools_finding(names: Sequence[str]) -> Finding:
    """Return the finding about MachinePools of a Cluster with trust."""
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return Finding(
        code="machine-pools",
        severity=Severity.WARNING,
        what=f"Trustplane does not give trust to MachinePools: {', '.join(names[:_MAX_NAMES])}{more}",
        why="Their machines share bootstrap data, and may have no Machine on which the trust of a node can be recorded",
        next_step="Run nodes that pull from private registries in machineDeployments",
    )


def _requests_trust(cluster: Json) -> bool:
    variables = field(cluster, "spec", "topology", "variables") or ()
    is_annotated = TRUST_SECRET in (field(cluster, "metadata", "annotations") or {})
    return is_annotated or any(variable.get("name") == TRUST_VARIABLE for variable in variables)


def _pools(cluster: Json) -> list[str]:
    return [str(pool.get("name")) for pool in field(cluster, "spec", "topology", "workers", MACHINE_POOLS_FIELD) or ()]


def exclusion_condition(cluster: Cluster) -> Condition | None:
    """Return the condition about parts of a stored Cluster that are excluded from its trust; None without any."""
    body = {"spec": {"topology": msgspec.to_builtins(cluster.spec.topology)}}
    pools = _pools(body)
    ignored = [TRUST_OVERRIDE.at(path) for path in overrides(body)]
    reason = OVERRIDES if ignored else MACHINE_POOLS
    findings = [*ignored, *([machine_pools_finding(pools)] if pools else [])]
    message = ". ".join(str(finding) for finding in findings)
    return Condition(type=WHOLE_CLUSTER, status=FALSE, reason=reason, message=message) if findings else None
