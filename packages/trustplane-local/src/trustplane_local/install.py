"""What is installed into a Supervisor, in three steps that each need more of it to run."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from trustplane.api import crds, webhooks
from trustplane.api.configuration import SYSTEM_NAMESPACE
from trustplane.api.meta import Json
from trustplane.clusterapi import release
from trustplane_local import clusterclass, credentials, manifests, provider
from trustplane_local.kubectl import Kubectl
from trustplane_local.stack import Stack

COMPONENTS = ("core", "bootstrap", "control-plane")  # of Cluster API
REVISION_LABEL = "trustplane.dev/definitions"  # of all of them together: to apply CRDs costs the API server seconds
_KINDS = ("crd", "namespace", "mutatingwebhookconfiguration", "validatingwebhookconfiguration")


def collect_definitions(stack: Stack) -> list[Json]:
    """Return namespaces, CRDs and webhook configurations: what Cluster API, the provider and Trustplane start with."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}}
    return [
        namespace,
        *cluster_api_definitions(stack),
        *provider.provider_crds(),
        *crds.crds(),
        webhooks.validating(_webhook(stack)),
    ]


def cluster_api_definitions(stack: Stack) -> list[Json]:
    """Return Cluster API's own objects, pointed at its managers on this machine."""
    ca_bundle = credentials.encode_file(stack.pki / "ca.crt")
    return [
        fitted
        for component in COMPONENTS
        for fitted in manifests.adapt_manifests(
            _documents(stack.bin.parent / "manifests" / f"{component}.yaml"),
            stack.ports[f"capi-{component}-webhook"],
            ca_bundle,
        )
    ]


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _webhook(stack: Stack) -> Json:
    """Return where the webhook server is, as the API server is told."""
    return {
        "url": f"https://127.0.0.1:{stack.ports['webhook']}",
        "caBundle": credentials.encode_file(stack.pki / "ca.crt"),
    }


async def install_definitions(objects: Sequence[Json], kubectl: Kubectl) -> None:
    """Install what the managers watch, unless all of it is there; needs the apiserver only."""
    revision = _digest(objects)
    if await kubectl.count(_KINDS, f"{REVISION_LABEL}={revision}") == len(objects):
        return
    await kubectl.apply([_labelled(one, revision) for one in objects])
    names = [f"crd/{one['metadata']['name']}" for one in objects if one["kind"] == manifests.CRD]
    await kubectl.wait("Established", names)


def _labelled(original: Json, revision: str) -> Json:
    metadata = original["metadata"]
    return {**original, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), REVISION_LABEL: revision}}}


async def install_classes(stack: Stack, kubectl: Kubectl) -> None:
    """Install the release and the ClusterClass; needs Cluster API's core manager."""
    objects = [release.release_body(stack.kubernetes_version), *clusterclass.cluster_class_objects(stack)]
    await kubectl.apply(objects)
    for one in objects:
        if one["kind"] == "ClusterClass":
            metadata = one["metadata"]
            await kubectl.wait("VariablesReady", [f"clusterclass/{metadata['name']}"], namespace=metadata["namespace"])


def _documents(file: Path) -> list[Json]:
    with file.open("rb") as stream:
        return [one for one in yaml.load_all(stream, Loader=yaml.CSafeLoader) if one]
