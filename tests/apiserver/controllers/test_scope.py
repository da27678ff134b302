"""Scope by registry (annotation `trustplane.dev/registry-scope`) with the controllers on a real API server."""

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from tests.apiserver.controllers.conftest import Supervisor, entry, make_ca, secret_name, until
from tests.apiserver.controllers.test_processes import Trustplane

from trustplane.api.annotations import REGISTRY_SCOPE, TRUST_DIGEST
from trustplane.api.clusterapi import Cluster
from trustplane.api.conditions import TRUST_VALID
from trustplane.api.configuration import NAME
from trustplane.api.meta import Condition, Json, condition
from trustplane.kube.kinds import CLUSTER_TRUSTS, CONFIGURATIONS, TANZU_CLUSTERS

AUTOMATIC = {"trustplane.dev/propagation": "Automatic"}


async def _scoped(supervisor: Supervisor, name: str, **hosts: list[str]) -> Cluster:
    """Wait until the set in force of a cluster has these entries, each for these registries."""
    last: dict[str, list[str]] = {}
    async with asyncio.timeout(30):
        while True:
            found = await supervisor.trusting(name, *sorted(hosts))
            last = {one.name: list(one.scope) for one in (await supervisor.in_force(found)).entries}
            if last == hosts:
                return found
            old = found.metadata.annotations[TRUST_DIGEST]
            await supervisor.cluster(name, partial(_has_another, old))


def _has_another(digest: str, cluster: Cluster) -> bool:
    return cluster.metadata.annotations[TRUST_DIGEST] != digest


async def test_adding_or_removing_the_services_scope_takes_one_update(supervisor: Supervisor) -> None:
    entries = [entry("apps", make_ca("apps")), entry("corp", make_ca("corp"))]
    async with supervisor.running():
        await supervisor.configure(*entries, **AUTOMATIC)
        await supervisor.make("c")
        await _scoped(supervisor, "c", apps=[], corp=[])

        scope = "apps=apps.test:5000, apps=b.test"
        await supervisor.configure(*entries, **AUTOMATIC, **{REGISTRY_SCOPE: scope})
        scoped = await _scoped(supervisor, "c", apps=["apps.test:5000", "b.test"], corp=[])
        trust = await until(
            supervisor.client,
            CLUSTER_TRUSTS,
            "c",
            supervisor.namespace,
            lambda one: bool(one.status.desired and any(each.hosts for each in one.status.desired.entries)),
        )
        assert trust.status.desired is not None
        assert [one.hosts for one in trust.status.desired.entries] == [["apps.test:5000", "b.test"], []]

        await supervisor.configure(*entries, **AUTOMATIC)
        whole = await _scoped(supervisor, "c", apps=[], corp=[])
        assert secret_name(scoped) != secret_name(whole)


async def test_p10_a_broken_scope_makes_no_entry_node_wide(supervisor: Supervisor) -> None:
    entries = [entry("apps", make_ca("apps"))]
    async with supervisor.running():
        await supervisor.configure(*entries, **AUTOMATIC, **{REGISTRY_SCOPE: "apps=apps.test"})
        await supervisor.make("old")
        before = await _scoped(supervisor, "old", apps=["apps.test"])
        await until(
            supervisor.client,
            CONFIGURATIONS,
            NAME,
            "",
            lambda found: condition(found.status.conditions, TRUST_VALID) is not None,
        )

        await supervisor.configure(*entries, **AUTOMATIC, **{REGISTRY_SCOPE: "apps=https://apps.test"})
        broken = await supervisor.tkc("old", lambda tkc: _is_broken(tkc.status.conditions))
        valid = condition([*broken.status.conditions], TRUST_VALID)
        assert valid is not None
        assert f"{REGISTRY_SCOPE}[0]: has no valid registry host for entry apps" in valid.message

        await supervisor.make("new")  # it takes the last good list, including the scope
        await _scoped(supervisor, "new", apps=["apps.test"])
        assert secret_name(await supervisor.cluster("old")) == secret_name(before)


def _is_broken(conditions: Sequence[Condition]) -> bool:
    found = condition([*conditions], TRUST_VALID)
    return found is not None and found.status == "False"


async def test_a_cluster_scopes_its_own_list_immediately(supervisor: Supervisor) -> None:
    async with supervisor.running():
        await supervisor.configure(entry("corp", make_ca("corp")))
        await supervisor.make("c", trust=[entry("own", make_ca("own"))])
        await _scoped(supervisor, "c", own=[])
        await supervisor.annotate("c", registry_scope="own=own.test")
        await _scoped(supervisor, "c", own=["own.test"])
        body = {"metadata": {"annotations": {REGISTRY_SCOPE: None}}}
        await supervisor.client.patch(TANZU_CLUSTERS, "c", supervisor.namespace, body)
        await _scoped(supervisor, "c", own=[])


async def test_plan_shows_the_effect_of_a_scope(supervisor: Supervisor, apiserver: Any, tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(apiserver.kubeconfig))
    trustplane, apps = Trustplane(tmp_path / "kubeconfig"), entry("apps", make_ca("apps"))
    async with supervisor.running():
        await supervisor.configure(apps, **AUTOMATIC, **{REGISTRY_SCOPE: "apps=apps.test"})
        await supervisor.make("c")
        await _scoped(supervisor, "c", apps=["apps.test"])

    async def plan(manager: str = "user", **annotations: str) -> tuple[int | None, Json]:
        file = tmp_path / "configuration.yaml"
        metadata = {"name": NAME, "annotations": annotations}
        spec = {"defaultCNI": "antrea", "trust": {"additionalTrustedCAs": [apps]}}
        kind = {"apiVersion": "run.tanzu.vmware.com/v1alpha3", "kind": "TkgServiceConfiguration"}
        file.write_text(yaml.safe_dump({**kind, "metadata": metadata, "spec": spec}))
        code, out, err = await trustplane.run("plan", "-f", str(file), "--field-manager", manager, "-o", "json")
        assert out, err
        found: Json = json.loads(out)
        clusters = [cluster for cluster in found["clusters"] if cluster["namespace"] == supervisor.namespace]
        return code, {
            "cluster": clusters[0],
            "codes": [finding["code"] for finding in found["documents"][0]["findings"]],
        }

    code, same = await plan(**{REGISTRY_SCOPE: "apps=apps.test"})
    assert (code, same["cluster"]["effect"]) == (0, "Nothing")
    code, other = await plan(**{REGISTRY_SCOPE: "apps=other.test"})
    changed = other["cluster"]["changed"][0]
    assert (code, changed["fromHosts"], changed["toHosts"]) == (0, ["apps.test"], ["other.test"])
    code, whole = await plan(**AUTOMATIC)
    assert (code, whole["cluster"]["effect"], whole["cluster"]["changed"][0]["toHosts"]) == (0, "Updated", [])
    code, another = await plan(manager="somebody-else")  # this manifest cannot remove the fields of "user"
    assert (code, another["cluster"]["effect"]) == (0, "Nothing")
    code, broken = await plan(**{REGISTRY_SCOPE: "other=apps.test"})
    assert (code, broken["codes"], broken["cluster"]["effect"]) == (1, ["unknown-scope-entry"], "Nothing")
