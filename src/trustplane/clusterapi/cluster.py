"""Translate a TanzuKubernetesCluster into Cluster API's Cluster with a managed topology.

Source: sigs.k8s.io/cluster-api/api v1.14.2, core/v1beta2/cluster_types.go; the variables are those of vSphere 8's
ClusterClass `tanzukubernetescluster`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import msgspec

from trustplane.api import clusterapi
from trustplane.api.cluster import CIDRBlocks, NodePool, TanzuKubernetesCluster, Topology
from trustplane.api.meta import Json
from trustplane.clusterapi.duration import parse_duration
from trustplane.clusterapi.owner import tkc_owner_reference
from trustplane.trust.entries import SHORT_DIGEST_LENGTH

CLASS_NAME = "tanzukubernetescluster"
CLASS_NAMESPACE = "trustplane-system"
WORKER_CLASS = "node-pool"

# The original's defaults.
DEFAULT_SERVICE_BLOCKS = ("10.96.0.0/12",)
DEFAULT_POD_BLOCKS = ("192.168.0.0/16",)
DEFAULT_SERVICE_DOMAIN = "cluster.local"
DEFAULT_CONTROL_PLANE_REPLICAS = 1

# Increment with any change of the digests' meaning: a new release of Trustplane alone must not update clusters.
_DIGESTS_FORMAT = "1"


def desired_cluster(
    tkc: TanzuKubernetesCluster,
    *,
    kubernetes_version: str,
    annotations: Mapping[str, str],
    ssh_public_key: str,
    default_drain_timeout: str = "",
) -> Json:
    """Return the Cluster, as the body of a server-side apply.

    Args:
        tkc: The cluster as its owner specified it.
        kubernetes_version: Kubernetes version of its release, such as v1.36.3.
        annotations: The state of the rules of propagation (`PropagationRecord`).
        ssh_public_key: One line of authorized_keys for user vmware-system-user.
        default_drain_timeout: `defaultNodeDrainTimeout` of the service, for pools without a timeout.
    """
    control_plane = tkc.spec.topology.control_plane
    return {
        "apiVersion": f"{clusterapi.GROUP}/{clusterapi.VERSION}",
        "kind": "Cluster",
        "metadata": {
            "name": tkc.metadata.name,
            "namespace": tkc.metadata.namespace,
            **({"labels": tkc.metadata.labels} if tkc.metadata.labels else {}),
            "annotations": dict(annotations),
            "ownerReferences": [tkc_owner_reference(tkc)],
        },
        "spec": {
            "clusterNetwork": _network(tkc),
            "topology": {
                "classRef": {"name": CLASS_NAME, "namespace": CLASS_NAMESPACE},
                "version": kubernetes_version,
                "controlPlane": {
                    "replicas": control_plane.replicas or DEFAULT_CONTROL_PLANE_REPLICAS,
                    **_deletion(control_plane, default_drain_timeout),
                },
                **_workers(tkc, default_drain_timeout),
                "variables": _variables(control_plane, ssh_public_key),
            },
        },
    }


def _network(tkc: TanzuKubernetesCluster) -> Json:
    network = tkc.spec.network
    return {
        "services": {"cidrBlocks": _blocks(network.services, DEFAULT_SERVICE_BLOCKS)},
        "pods": {"cidrBlocks": _blocks(network.pods, DEFAULT_POD_BLOCKS)},
        "serviceDomain": network.service_domain or DEFAULT_SERVICE_DOMAIN,
    }


def _blocks(chosen: CIDRBlocks | None, default: tuple[str, ...]) -> list[str]:
    return list(chosen.cidr_blocks if chosen and chosen.cidr_blocks else default)


def _deletion(topology: Topology, default_drain_timeout: str) -> Json:
    """Return the drain timeout; for Cluster API, an absent value and 0 both mean no limit."""
    limit = parse_duration(topology.node_drain_timeout or default_drain_timeout)
    return {"deletion": {"nodeDrainTimeoutSeconds": limit}} if limit else {}


def _workers(tkc: TanzuKubernetesCluster, default_drain_timeout: str) -> Json:
    """Return the pools; Cluster API refuses an empty list."""
    topology = tkc.spec.topology
    pools = [_machine_deployment(pool, topology.control_plane, default_drain_timeout) for pool in topology.node_pools]
    return {"workers": {"machineDeployments": pools}} if pools else {}


def _machine_deployment(pool: NodePool, control_plane: Topology, default_drain_timeout: str) -> Json:
    deployment: Json = {"class": WORKER_CLASS, "name": pool.name, **_deletion(pool, default_drain_timeout)}
    if pool.replicas is not None:  # without replicas, an autoscaler owns the number
        deployment["replicas"] = pool.replicas
    if pool.labels:
        deployment["metadata"] = {"labels": pool.labels}
    if pool.taints:
        deployment["taints"] = [
            {"key": taint.key, "effect": taint.effect, "propagation": "Always"}
            | ({"value": taint.value} if taint.value else {})
            for taint in pool.taints
        ]
    if pool.failure_domain:
        deployment["failureDomain"] = pool.failure_domain
    overrides = [
        {"name": name, "value": value}
        for name, value in _hardware(pool).items()
        if value != _hardware(control_plane).get(name)
    ]
    if overrides:
        deployment["variables"] = {"overrides": overrides}
    return deployment


def _hardware(topology: Topology) -> dict[str, str]:
    values = {"vmClass": topology.vm_class, "storageClass": topology.storage_class}
    return {name: value for name, value in values.items() if value}


def _variables(control_plane: Topology, ssh_public_key: str) -> list[Json]:
    values: dict[str, Any] = {**_hardware(control_plane), "user": {"sshAuthorizedKey": ssh_public_key}}
    return [{"name": name, "value": value} for name, value in values.items()]


def refusal_message(tkc: TanzuKubernetesCluster, why: str) -> str:
    """Return the message for a Cluster that Cluster API refuses, with the next step for refused taints.

    Cluster API names the feature gate for taints, but not where to enable it; 1.12 and older report an unknown field.
    """
    message = f"Cluster API refuses this cluster. {why}"
    has_taints = any(pool.taints for pool in tkc.spec.topology.node_pools)
    is_about_taints = has_taints and ("taints" in why or _TAINT_GATE in why)
    return f"{message.rstrip('.')}. {_TAINTS}" if is_about_taints else message


_TAINT_GATE = "MachineTaintPropagation"
_TAINTS = (
    f"Taints of node pools require feature gate {_TAINT_GATE} of Cluster API 1.13 or newer "
    "(EXP_MACHINE_TAINT_PROPAGATION=true for clusterctl). Enable it or remove the taints: until then, this cluster "
    "stays unchanged"
)


def update_digests(tkc: TanzuKubernetesCluster, *, kubernetes_version: str) -> dict[str, str]:
    """Return digests of the parts of the spec whose change makes Cluster API update existing nodes, by part.

    Replicas, labels, taints and drain timeouts are excluded: Cluster API changes them in place.
    """
    topology = tkc.spec.topology
    parts: dict[str, Any] = {
        "version": kubernetes_version,
        "control-plane": _template(topology.control_plane),
        **{f"pool/{pool.name}": [*_template(pool), pool.failure_domain] for pool in topology.node_pools},
    }
    return {f"{_DIGESTS_FORMAT}/{part}": _digest(value) for part, value in parts.items()}


def _template(topology: Topology) -> list[Any]:
    return [topology.vm_class, topology.storage_class, msgspec.to_builtins(topology.volumes)]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:SHORT_DIGEST_LENGTH]
