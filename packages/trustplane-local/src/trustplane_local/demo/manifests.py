"""The manifests of the story: what a platform engineer and an application's owner would write. Pure."""

import base64
import json
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]


def configuration_manifest(authorities: Mapping[str, bytes]) -> Json:
    """Return the TkgServiceConfiguration of the customer's page, with these PEM certificates by name."""
    entries = [{"name": name, "data": base64.b64encode(pem).decode()} for name, pem in authorities.items()]
    return {
        "apiVersion": "run.tanzu.vmware.com/v1alpha1",
        "kind": "TkgServiceConfiguration",
        "metadata": {"name": "tkg-service-configuration"},
        "spec": {"defaultCNI": "antrea", "trust": {"additionalTrustedCAs": entries}},
    }


def cluster_manifest(name: str, release: str, *, control_planes: int = 1, workers: int = 1) -> Json:
    """Return a TanzuKubernetesCluster of one node pool, as written for vSphere 8."""
    reference = {"reference": {"name": release}}
    machine = {"vmClass": "best-effort-small", "storageClass": "standard", "tkr": reference}
    return {
        "apiVersion": "run.tanzu.vmware.com/v1alpha3",
        "kind": "TanzuKubernetesCluster",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "topology": {
                "controlPlane": {"replicas": control_planes, **machine},
                "nodePools": [{"name": "workers", "replicas": workers, **machine}],
            },
        },
    }


def registry_manifest(host: str) -> Json:
    """Return the Registry that has every node of every cluster prove that it trusts that host."""
    return {
        "apiVersion": "trustplane.dev/v1alpha1",
        "kind": "Registry",
        "metadata": {"name": host.partition(".")[0]},
        "spec": {"host": host},
    }


def pull_secret(name: str, host: str, username: str, password: str) -> Json:
    """Return the pull secret of a registry, for the pods of one namespace."""
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    config = {"auths": {host: {"username": username, "password": password, "auth": auth}}}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": name, "namespace": "default"},
        "data": {".dockerconfigjson": base64.b64encode(json.dumps(config).encode()).decode()},
    }


def deployment_manifest(name: str, image: str, *, credentials: str | None) -> Json:
    """Return a Deployment of one pod with that image, pulled with that secret or anonymously."""
    spec: Json = {"containers": [{"name": "app", "image": image, "imagePullPolicy": "Always"}]}
    if credentials:
        spec["imagePullSecrets"] = [{"name": credentials}]
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
