"""Install CRDs, webhook configurations, the release and the ClusterClass into a Supervisor."""

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
# A digest of all definitions: if the installed ones have it, they need not be applied, which would take seconds.
REVISION_LABEL = "trustplane.dev/definitions"
_KINDS = ("crd", "namespace", "mutatingwebhookconfiguration", "validatingwebhookconfiguration")


def collect_definitions(stack: Stack) -> list[Json]:
    """Return the namespaces, CRDs and webhook configurations of Cluster API, the provider and Trustplane."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}}
    return [
        namespace,
        *cluster_api_definitions(stack),
        *provider.provider_crds(),
        *crds.crds(),
        webhooks.validating(_webhook(stack)),
    ]


def cluster_api_definitions(stack: Stack) -> list[Json]:
    """Return Cluster API's objects, with webhooks that lead to its managers on this machine."""
    ca_bundle = credentials.encode_file(stack.pki / "ca.crt")
    return [
        adapted
        for component in COMPONENTS
        for adapted in manifests.adapt_manifests(
            _documents(stack.bin.parent / "manifests" / f"{component}.yaml"),
            stack.ports[f"capi-{component}-webhook"],
            ca_bundle,
        )
    ]


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _webhook(stack: Stack) -> Json:
    """Return the client configuration of Trustplane's webhook server."""
    return {
        "url": f"https://127.0.0.1:{stack.ports['webhook']}",
        "caBundle": credentials.encode_file(stack.pki / "ca.crt"),
    }


async def install_definitions(objects: Sequence[Json], kubectl: Kubectl) -> None:
    """Install the definitions unless the same ones are installed; requires only the apiserver."""
    revision = _digest(objects)
    if await kubectl.count(_KINDS, f"{REVISION_LABEL}={revision}") == len(objects):
        return
    await kubectl.apply([_labelled(definition, revision) for definition in objects])
    names = [f"crd/{definition['metadata']['name']}" for definition in objects if definition["kind"] == manifests.CRD]
    await kubectl.wait("Established", names)


def _labelled(original: Json, revision: str) -> Json:
    metadata = original["metadata"]
    return {**original, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), REVISION_LABEL: revision}}}


async def install_classes(stack: Stack, kubectl: Kubectl) -> None:
    """Install the release and the ClusterClass; requires Cluster API's core manager."""
    objects = [release.release_body(stack.kubernetes_version), *clusterclass.cluster_class_objects(stack)]
    await kubectl.apply(objects)
    for manifest in objects:
        if manifest["kind"] == "ClusterClass":
            metadata = manifest["metadata"]
            await kubectl.wait("VariablesReady", [f"clusterclass/{metadata['name']}"], namespace=metadata["namespace"])


def _documents(file: Path) -> list[Json]:
    with file.open("rb") as stream:
        return [document for document in yaml.load_all(stream, Loader=yaml.CSafeLoader) if document]
