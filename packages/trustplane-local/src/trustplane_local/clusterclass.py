"""The local stack's ClusterClass `tanzukubernetescluster`, and its templates.

Templates are immutable in Cluster API. Their names end with a digest of their content: changed content creates a new
template, and the class refers to that one.
Sources: docs/book/src/tasks/experimental-features/cluster-class/ of Cluster API; kubeadm.k8s.io/v1beta4.
"""

import hashlib
import json

import yaml

from trustplane.api.configuration import SYSTEM_NAMESPACE
from trustplane.api.meta import Json
from trustplane.clusterapi.cluster_class.patch import generate_class_patch
from trustplane_local.process import GOGC
from trustplane_local.provider.objects import GROUP, VERSION
from trustplane_local.stack import Stack

CLASS_NAME = "tanzukubernetescluster"
WORKER_CLASS = "node-pool"

CLUSTER_API_VERSION = "cluster.x-k8s.io/v1beta2"
CONTROL_PLANE_VERSION = "controlplane.cluster.x-k8s.io/v1beta2"
BOOTSTRAP_VERSION = "bootstrap.cluster.x-k8s.io/v1beta2"
INFRASTRUCTURE_VERSION = f"{GROUP}/{VERSION}"

_KUBE_PROXY_FILE = "/etc/trustplane/kube-proxy.yaml"
_KUBEADM_FILE = "/run/kubeadm/kubeadm.yaml"  # bootstrap data writes it on the machine that runs `kubeadm init`


def cluster_class_objects(_stack: Stack) -> list[Json]:
    """Return the templates, then the ClusterClass. They are the same for every stack.

    The patches for trust and for the nodes' user are those of `trustplane class patch`.
    """
    control_plane = _template(CONTROL_PLANE_VERSION, "KubeadmControlPlaneTemplate", _control_plane())
    worker = _template(BOOTSTRAP_VERSION, "KubeadmConfigTemplate", _worker())
    machine = _template(INFRASTRUCTURE_VERSION, "LocalMachineTemplate", {})
    cluster = _template(INFRASTRUCTURE_VERSION, "LocalClusterTemplate", {})
    cluster_class: Json = {
        "apiVersion": CLUSTER_API_VERSION,
        "kind": "ClusterClass",
        "metadata": _metadata(CLASS_NAME),
        "spec": {
            "infrastructure": {"templateRef": _reference(cluster)},
            "controlPlane": {
                "templateRef": _reference(control_plane),
                "machineInfrastructure": {"templateRef": _reference(machine)},
                "naming": {"template": "{{ .cluster.name }}-control-plane"},
            },
            "workers": {
                "machineDeployments": [
                    {
                        "class": WORKER_CLASS,
                        "bootstrap": {"templateRef": _reference(worker)},
                        "infrastructure": {"templateRef": _reference(machine)},
                    }
                ]
            },
            "variables": _VARIABLES,
        },
    }
    patch = generate_class_patch(cluster_class, [control_plane, worker], with_user=True)
    cluster_class["spec"] |= {"variables": [*patch.variables, *_VARIABLES], "patches": list(patch.patches)}
    return [control_plane, worker, machine, cluster, cluster_class]


def _template(api_version: str, kind: str, spec: Json) -> Json:
    content = {"template": {"spec": spec}}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
    return {"apiVersion": api_version, "kind": kind, "metadata": _metadata(f"{CLASS_NAME}-{digest}"), "spec": content}


def _metadata(name: str) -> Json:
    return {"name": name, "namespace": SYSTEM_NAMESPACE}


def _reference(template: Json) -> Json:
    return {
        "apiVersion": template["apiVersion"],
        "kind": template["kind"],
        "name": template["metadata"]["name"],
    }


def _control_plane() -> Json:
    registration = _node_registration()
    append = f"if [ -e {_KUBEADM_FILE} ]; then cat {_KUBE_PROXY_FILE} >> {_KUBEADM_FILE}; fi"
    return {
        "machineNaming": {"template": "{{ .cluster.name }}-control-plane-{{ .random }}"},
        "rollout": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}},
        "kubeadmConfigSpec": {
            "files": [_pod_network(), {"path": _KUBE_PROXY_FILE, "content": _kube_proxy()}],
            "preKubeadmCommands": [append],
            "clusterConfiguration": {
                "etcd": {"local": {"extraArgs": _ETCD_PATIENCE, "extraEnvs": _ENVIRONMENT}},
                **{part: {"extraEnvs": _ENVIRONMENT} for part in ("apiServer", "controllerManager", "scheduler")},
            },
            "initConfiguration": {"nodeRegistration": registration},
            "joinConfiguration": {"nodeRegistration": registration},
        },
    }


def _worker() -> Json:
    return {
        "files": [_pod_network()],
        "joinConfiguration": {"nodeRegistration": _node_registration()},
    }


# Several clusters share a few cores: with etcd's default timeout of 1 s, the leader would change constantly.
_ENVIRONMENT = [{"name": "GOGC", "value": GOGC}]
_ETCD_PATIENCE = [{"name": "heartbeat-interval", "value": "500"}, {"name": "election-timeout", "value": "5000"}]


def _node_registration() -> Json:
    """Return the kubelet's options; those common to all nodes are in the image.

    kubeadm's preflight checks are off: they would check the kernel and the hardware of the host, not of the node.
    """
    return {
        "criSocket": "unix:///run/containerd/containerd.sock",
        "imagePullPolicy": "IfNotPresent",
        "ignorePreflightErrors": ["all"],
        "kubeletExtraArgs": [{"name": "provider-id", "value": "{{ ds.meta_data.provider_id }}"}],
    }


def _pod_network() -> Json:
    """Return the CNI configuration. No overlay is needed, because each machine answers ARP for its pods' addresses.

    Source: https://www.cni.dev/plugins/current/main/ptp/
    """
    subnet = "{{ ds.meta_data.pod_subnet }}"
    ipam = {"type": "host-local", "ranges": [[{"subnet": subnet}]], "routes": [{"dst": "0.0.0.0/0"}]}
    plugins = [{"type": "ptp", "ipam": ipam}, {"type": "portmap", "capabilities": {"portMappings": True}}]
    content = json.dumps({"cniVersion": "1.0.0", "name": "trustplane", "plugins": plugins})
    return {"path": "/etc/cni/net.d/10-trustplane.conflist", "content": content}


def _kube_proxy() -> str:
    """Return kube-proxy's configuration, to append to kubeadm's file, because Cluster API has no field for it.

    Zeros leave the size of the connection table alone: it belongs to the host, and a container cannot set it. Pods are
    recognized by their interfaces, independently of the Cluster's pod CIDR.
    Source: https://kubernetes.io/docs/reference/config-api/kube-proxy-config.v1alpha1/
    """
    document = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "detectLocalMode": "InterfaceNamePrefix",
        "detectLocal": {"interfaceNamePrefix": "veth"},
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
    return "---\n" + yaml.safe_dump(document, sort_keys=False)


_VARIABLES: list[Json] = [
    {
        "name": "vmClass",
        "required": False,
        "schema": {
            "openAPIV3Schema": {
                "type": "string",
                "description": "Size of machines on vSphere. Accepted to keep manifests portable; machines of the "
                "local stack share the host's resources.",
            }
        },
    },
    {
        "name": "storageClass",
        "required": False,
        "schema": {
            "openAPIV3Schema": {
                "type": "string",
                "description": "Storage policy on vSphere. Accepted to keep manifests portable; machines of the "
                "local stack have their disks in the stack's folder.",
            }
        },
    },
]
