"""Attacks by registries: the clusters that get their pull secrets, and their responses to the manager."""

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from oracle import drafts
from oracle.drafts import Draft
from oracle.encoding import dns, ip
from oracle.keyring import Keyring
from oracle.server import Reply, serving
from tests.apiserver.controllers.conftest import SYSTEM, until
from tests.apiserver.tenants import servers
from tests.apiserver.tenants.stage import VICTIM, Stage, kubeconfig

from trustplane.api.meta import Json
from trustplane.kube.kinds import REGISTRIES, SECRETS
from trustplane.kube.resource import Resource

pytestmark = pytest.mark.asyncio(loop_scope="session")

CREDENTIAL = base64.b64encode(json.dumps({"auths": {"r.test": {"auth": "c2VjcmV0LW9mLXRlYW0tYg=="}}}).encode()).decode()
ESCAPES = "\x1b]0;pwned\x07\x1b[2J"
KEYS = Keyring().usual


async def _registry(stage: Stage, name: str, spec: Json) -> None:
    await stage.admin.apply(REGISTRIES, {"metadata": {"name": name}, "spec": spec}, manager="test")


async def test_a_label_gets_no_pull_secret(stage: Stage, keys: Path) -> None:
    """Owners choose the labels of a TanzuKubernetesCluster, and the Cluster has the same labels."""
    secret = {"metadata": {"name": "pull-b", "namespace": SYSTEM}, "type": "kubernetes.io/dockerconfigjson"}
    await stage.admin.apply(SECRETS, {**secret, "data": {".dockerconfigjson": CREDENTIAL}}, manager="test")
    spec = {
        "host": "b.test.invalid",
        "clusterSelector": {"matchLabels": {"team": "b"}},
        "pullSecretRef": {"namespace": SYSTEM, "name": "pull-b"},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": VICTIM}},
    }
    await _registry(stage, "of-b", spec)
    try:
        async with servers.serving(keys, servers.obliging) as own:
            await stage.cluster("labelled", port=own.port, team="b")
            await stage.kubeconfig("labelled", kubeconfig(own))
            # A probe of the Registry for all clusters arrives: that of team b had its chance.
            await own.heard.until(lambda one: one.startswith("POST") and "/pods" in one)
            await asyncio.sleep(1)
            assert CREDENTIAL not in own.heard
            assert "c2VjcmV0LW9mLXRlYW0tYg" not in own.heard
    finally:
        await stage.admin.delete(REGISTRIES, "of-b")


def _long_chain() -> list[Draft]:
    root = drafts.ca("Root", KEYS[0])
    return [drafts.server(KEYS[1], root, dns("localhost"), ip("127.0.0.1")), *[root] * 21]


def _escapes() -> list[Draft]:
    root = drafts.ca(ESCAPES, KEYS[0])
    return [drafts.server(KEYS[1], root, dns(ESCAPES), ip("127.0.0.1")), root]


def _long_subject() -> list[Draft]:
    root = drafts.ca("R" * 5000, KEYS[0])
    return [drafts.server(KEYS[1], root, ip("127.0.0.1")), root]


def _many_names() -> list[Draft]:
    root = drafts.ca("Root", KEYS[0])
    return [drafts.server(KEYS[1], root, *(dns(f"n{n}.test") for n in range(1500))), root]


CHAINS: dict[str, Callable[[], list[Draft]]] = {
    "22-certificates": _long_chain,
    "escapes-in-names": _escapes,
    "a-subject-of-5000-characters": _long_subject,
    "1500-names": _many_names,
}


@pytest.mark.parametrize("attack", CHAINS)
async def test_a_response_of_a_tenants_registry_harms_no_other(stage: Stage, attack: str) -> None:
    chain = CHAINS[attack]()
    with serving([one.der for one in chain], chain[0].key, {"/v2/": Reply(200)}) as port:
        name = f"chain-{list(CHAINS).index(attack)}"
        await _registry(stage, name, {"host": f"127.0.0.1:{port}", "clusterSelector": {"matchLabels": {"team": "x"}}})
        document: Resource[Json] = Resource(
            REGISTRIES.group, REGISTRIES.version, "Registry", "registries", dict, namespaced=False
        )
        try:
            found = await until(
                stage.admin, document, name, "", lambda one: bool(one.get("status", {}).get("conditions"))
            )
            assert "\x1b" not in json.dumps(found, ensure_ascii=False)
            assert len(json.dumps(found)) < 200_000
        finally:
            await stage.admin.delete(REGISTRIES, name)
