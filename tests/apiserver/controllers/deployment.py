"""The objects of `deploy/`, applied to the API server of the tests, and the rights of its accounts."""

import json
from pathlib import Path
from typing import Any

import yaml

from trustplane.api.meta import Json
from trustplane.kube.client import Client
from trustplane.kube.resource import Resource

DEPLOY = Path(__file__).parents[3] / "deploy"
NAMESPACE = "trustplane-system"
_ROLES = ("namespace.yaml", "secrets-policy.yaml", "manager-roles.yaml", "webhook-roles.yaml")


def documents(*files: str) -> list[Json]:
    """Return the objects of these files, by default of all files in the kustomization."""
    names = files or yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())["resources"]
    return [one for name in names for one in yaml.safe_load_all((DEPLOY / name).read_text())]


async def resource_of(client: Client, document: Json) -> Resource[Json] | None:
    """Return the kind of an object in the API server; None if it is unknown."""
    group, _, version = document["apiVersion"].rpartition("/")
    groups = {one["name"] for one in json.loads(await client.raw("GET", "/apis"))["groups"]}
    if group and group not in groups:
        return None
    known = json.loads(await client.raw("GET", f"/{'apis' if group else 'api'}/{document['apiVersion']}"))
    for one in known["resources"]:
        if one["kind"] == document["kind"] and "/" not in one["name"]:
            return Resource(group, version, one["kind"], one["name"], dict, namespaced=one["namespaced"])
    return None


async def install_roles(kubeconfig: Json) -> None:
    """Install the namespace, the accounts, their roles, and the policy for writes of Secrets."""
    async with Client.open(kubeconfig) as client:
        for document in documents(*_ROLES):
            resource = await resource_of(client, document)
            assert resource, document["kind"]
            await client.apply(resource, document, manager="kubectl")


async def kubeconfig_of(account: str, kubeconfig: Json) -> Json:
    """Return the kubeconfig of a ServiceAccount, with a token for an hour.

    Args:
        account: Its name.
        kubeconfig: An administrator's.
    """
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    async with Client.open(kubeconfig) as client:
        answer: dict[str, Any] = json.loads(await client.raw("POST", path, body=body))
    return {**kubeconfig, "users": [{"name": "test", "user": {"token": answer["status"]["token"]}}]}
