"""Clusters that no TanzuKubernetesCluster made: of somebody's own ClusterClass, and of none. Manifests, pure."""

import copy
from typing import Any

from trustplane_local import clusterclass
from trustplane_local.clusterclass import (
    BOOTSTRAP_VERSION,
    CLUSTER_API_VERSION,
    CONTROL_PLANE_VERSION,
    INFRASTRUCTURE_VERSION,
    WORKER_CLASS,
)
from trustplane_local.stack import Stack

Json = dict[str, Any]

BANNER = "banner"  # a variable of the class: a text that its workers' bootstrap has
_BANNER_FILE = "/etc/banner"
_NETWORK = {
    "services": {"cidrBlocks": ["10.96.0.0/12"]},
    "pods": {"cidrBlocks": ["192.168.0.0/16"]},
    "serviceDomain": "cluster.local",
}
_LABEL = {"pool": "md-0"}


def own_class(stack: Stack, name: str, namespace: str) -> list[Json]:
    """Return a ClusterClass that knows nothing of Trustplane, and has a patch of its own; its templates first.

    Where the variable is set, workers have commands of their own; where it is not, they have none.
    """
    objects = copy.deepcopy(clusterclass.cluster_class_objects(stack))
    for one in objects:
        one["metadata"]["namespace"] = namespace
    objects[-1]["metadata"]["name"] = name
    objects[-1]["spec"] |= {"variables": [_BANNER_VARIABLE], "patches": [_BANNER_PATCH]}
    return objects


def topology(cluster: Json, version: str, **values: Any) -> Json:
    """Return a Cluster of that class with a machine of each kind; values of variables come to those that it has."""
    wanted = copy.deepcopy(cluster)
    spec = wanted["spec"]["topology"]
    variables = {one["name"]: one["value"] for one in spec["variables"]} | values
    spec |= {
        "version": version,
        "controlPlane": {"replicas": 1},
        "workers": {"machineDeployments": [{"class": WORKER_CLASS, "name": "md-0", "replicas": 1}]},
        "variables": [{"name": name, "value": value} for name, value in variables.items()],
    }
    wanted["spec"]["clusterNetwork"] = _NETWORK
    return wanted


def plain(stack: Stack, cluster: Json, version: str, added: Json) -> list[Json]:
    """Return a Cluster without topology, and all that belongs to it, with a machine of each kind.

    Args:
        stack: Where its machines are.
        cluster: Its metadata, as the page has it.
        version: Of Kubernetes.
        added: To each KubeadmConfigSpec: `files`, `preKubeadmCommands` and `users`.
    """
    control_plane, worker, machine = (
        one["spec"]["template"]["spec"] for one in copy.deepcopy(clusterclass.cluster_class_objects(stack)[:3])
    )
    name, namespace = cluster["metadata"]["name"], cluster["metadata"]["namespace"]

    def made(api_version: str, kind: str, suffix: str, spec: Json) -> Json:
        metadata = {"name": f"{name}{suffix}", "namespace": namespace}
        return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}

    infrastructure = made(INFRASTRUCTURE_VERSION, "LocalCluster", "", {})
    machines = made(INFRASTRUCTURE_VERSION, "LocalMachineTemplate", "", {"template": {"spec": machine}})
    template = made(BOOTSTRAP_VERSION, "KubeadmConfigTemplate", "-md-0", {"template": {"spec": _with(worker, added)}})
    control_plane |= {
        "machineNaming": {"template": "{{ .kubeadmControlPlane.name }}-{{ .random }}"},
        "kubeadmConfigSpec": _with(control_plane["kubeadmConfigSpec"], added),
        "replicas": 1,
        "version": version,
        "machineTemplate": {"spec": {"infrastructureRef": _reference(machines)}},
    }
    plane = made(CONTROL_PLANE_VERSION, "KubeadmControlPlane", "-control-plane", control_plane)
    machine_spec = {
        "clusterName": name,
        "version": version,
        "bootstrap": {"configRef": _reference(template)},
        "infrastructureRef": _reference(machines),
    }
    labels = {**_LABEL, "cluster.x-k8s.io/cluster-name": name}
    pool = {
        "clusterName": name,
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": machine_spec},
    }
    spec = {
        "clusterNetwork": _NETWORK,
        "controlPlaneRef": _reference(plane),
        "infrastructureRef": _reference(infrastructure),
    }
    deployment = made(CLUSTER_API_VERSION, "MachineDeployment", "-md-0", pool)
    return [infrastructure, machines, template, plane, deployment, {**cluster, "spec": spec}]


def _with(spec: Json, added: Json) -> Json:
    """Add as the page says: files and users at the end, the command before all others."""
    return {
        **spec,
        "files": [*spec.get("files", []), *added["files"]],
        "preKubeadmCommands": [*added["preKubeadmCommands"], *spec.get("preKubeadmCommands", [])],
        "users": [*spec.get("users", []), *added["users"]],
    }


def _reference(one: Json) -> Json:
    return {
        "apiGroup": one["apiVersion"].partition("/")[0],
        "kind": one["kind"],
        "name": one["metadata"]["name"],
    }


_BANNER_VARIABLE: Json = {
    "name": BANNER,
    "required": False,
    "schema": {"openAPIV3Schema": {"type": "string", "description": "What workers say in /etc/banner."}},
}
_BANNER_PATCH: Json = {
    "name": BANNER,
    "enabledIf": f"{{{{ if .{BANNER} }}}}true{{{{ end }}}}",
    "definitions": [
        {
            "selector": {
                "apiVersion": BOOTSTRAP_VERSION,
                "kind": "KubeadmConfigTemplate",
                "matchResources": {"machineDeploymentClass": {"names": [WORKER_CLASS]}},
            },
            "jsonPatches": [
                {
                    "op": "add",
                    "path": "/spec/template/spec/preKubeadmCommands",
                    "valueFrom": {"template": f"- echo '{{{{ .{BANNER} }}}}' >{_BANNER_FILE}\n"},
                }
            ],
        }
    ],
}
