"""Copies of pull secrets: for whom they are made, and that they go, against API servers in memory."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from trustplane.api.core import Secret
from trustplane.api.registry import Registry
from trustplane.controllers.proof.pull_secrets import (
    COPY_LIFETIME,
    PULL_SECRET_TYPE,
    PullSecretSource,
    copied_pull_secrets,
    sweep_pull_secrets,
)
from trustplane.proof import probe

OWN = "trustplane-system"
SELECTED = {"namespaceSelector": {"matchLabels": {"tier": "trusted"}}}
Json = dict[str, Any]


class Api:
    """Objects by plural, namespace and name."""

    def __init__(self, **labels: str) -> None:
        self.objects: dict[tuple[str, str, str], Json] = {}
        self.put("namespaces", {"metadata": {"name": "team", "labels": labels}})

    def put(self, plural: str, body: Json) -> None:
        metadata = body["metadata"]
        self.objects[plural, metadata.get("namespace", ""), metadata["name"]] = body

    def copies(self) -> list[Json]:
        return [one for (plural, _, name), one in self.objects.items() if plural == "secrets" and "probe-pull-" in name]

    async def find(self, resource: Any, name: str, namespace: str = "") -> Any:
        found = self.objects.get((resource.plural, namespace, name))
        return msgspec.convert(found, Secret) if found and resource.type is Secret else found

    async def create(self, resource: Any, body: Json) -> None:
        self.put(resource.plural, body)

    async def delete(self, resource: Any, name: str, namespace: str = "") -> None:
        del self.objects[resource.plural, namespace, name]

    async def list(self, _resource: Any, namespace: str, *, labels: str) -> list[Any]:
        assert labels == f"{probe.PROBE_LABEL}=probe-pull-secret"
        return [msgspec.convert(one, Secret) for one in self.copies() if one["metadata"]["namespace"] == namespace]


def secret(name: str, namespace: str, *, kind: str = PULL_SECRET_TYPE) -> Json:
    return {"metadata": {"name": name, "namespace": namespace}, "type": kind, "data": {".dockerconfigjson": name}}


def registry(host: str, name: str, **spec: Any) -> Registry:
    body = {"metadata": {"name": host}, "spec": {"host": host, "pullSecretRef": {"name": name}, **SELECTED, **spec}}
    return msgspec.convert(body, Registry)


@pytest.mark.parametrize(("labels", "hosts"), [({"tier": "trusted"}, {"r.corp"}), ({}, set()), ({"tier": "x"}, set())])
async def test_only_clusters_of_selected_namespaces_get_a_copy_for_the_time_of_a_proof(
    labels: dict[str, str], hosts: set[str]
) -> None:
    management: Any = Api(**labels)
    workload: Any = Api()
    management.put("secrets", secret("pull", OWN))
    async with copied_pull_secrets(
        PullSecretSource(management, OWN, "team"), workload, [registry("r.corp", "pull")]
    ) as names:
        assert set(names) == hosts
        assert [one["data"] for one in workload.copies()] == [{".dockerconfigjson": "pull"}] * len(hosts)
    assert workload.copies() == []


async def test_secrets_of_other_namespaces_types_and_none_are_not_copied() -> None:
    management: Any = Api(tier="trusted")
    workload: Any = Api()
    for one in (secret("theirs", "platform"), secret("opaque", OWN, kind="Opaque"), secret("unselected", OWN)):
        management.put("secrets", one)
    registries = [
        registry("a", "theirs"),
        registry("b", "theirs", pullSecretRef={"name": "theirs", "namespace": "platform"}),
        registry("c", "opaque"),
        registry("d", "absent"),
        registry("e", "unselected", namespaceSelector=None),
    ]
    async with copied_pull_secrets(PullSecretSource(management, OWN, "team"), workload, registries) as names:
        assert names == {}
        assert workload.copies() == []


async def test_copies_go_when_their_time_is_over_whoever_made_them() -> None:
    workload: Any = Api()
    now = datetime.now(UTC)
    for name, expires in (("probe-pull-old", now - timedelta(seconds=1)), ("probe-pull-new", now + COPY_LIFETIME)):
        body = secret(name, probe.PROBE_NAMESPACE)
        body["metadata"]["annotations"] = {probe.EXPIRES_AT: expires.isoformat()}
        workload.put("secrets", body)
    assert await sweep_pull_secrets(workload, now)
    assert [one["metadata"]["name"] for one in workload.copies()] == ["probe-pull-new"]
    assert not await sweep_pull_secrets(workload, now + COPY_LIFETIME)
    assert workload.copies() == []
