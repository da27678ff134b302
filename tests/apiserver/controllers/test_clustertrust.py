"""Proof, its report, and the commands, with a real API server that also plays the workload cluster."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.apiserver.controllers.conftest import SYSTEM, Supervisor, entry, make_ca, until, until_gone
from tests.apiserver.controllers.test_processes import Trustplane
from tests.apiserver.controllers.workload import (
    NOT_FOUND,
    UNTRUSTED,
    Inspector,
    Kubelet,
    annotation,
    change,
    condition_of,
    make_nodes,
    node_ready,
    registry,
    trust_of,
)

from trustplane.api.clusterapi import Cluster
from trustplane.api.clustertrust import TRUST_PROOF, UNVERIFIABLE, RegistryAccess
from trustplane.api.clustertrust import WHOLE_CLUSTER as WHOLE
from trustplane.api.conditions import TRUST_UP_TO_DATE
from trustplane.api.keys import Key
from trustplane.api.meta import Json, condition
from trustplane.controllers.proof import controller
from trustplane.kube.client import Client
from trustplane.kube.errors import InvalidError
from trustplane.kube.kinds import CLUSTER_TRUSTS, CLUSTERS, EVENTS, NODES, PODS, REGISTRIES, SECRETS
from trustplane.proof import probe

TRUE_PROVEN = ("True", "Proven")
DEAD = "https://127.0.0.1:1"


@pytest.fixture
async def kubelet(client: Client) -> AsyncIterator[Kubelet]:
    async with Kubelet(client).running() as kubelet:
        yield kubelet


@pytest.fixture(autouse=True)
def inspector(monkeypatch: pytest.MonkeyPatch) -> Inspector:
    """No node of these tests has an SSH server; tests/node inspects a real one."""
    inspector = Inspector()
    monkeypatch.setattr(controller, "inspect_node", inspector.inspect)
    return inspector


@pytest.fixture
def trustplane(apiserver: Any, tmp_path: Path) -> Trustplane:
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(apiserver.kubeconfig))
    return Trustplane(file)


async def cluster(supervisor: Supervisor, name: str, *nodes: str, kubeconfig: Json) -> str:
    """Create a cluster with Nodes; return the fingerprint of its only CA."""
    await supervisor.make(name)
    await supervisor.label(name, "test", supervisor.namespace)
    found = await supervisor.trusting(name, "corp")
    await supervisor.cluster(name, lambda one: one.metadata.labels.get("test") == supervisor.namespace)
    await supervisor.play(name)
    await make_nodes(supervisor, name, *nodes, kubeconfig=kubeconfig)
    return (await supervisor.in_force(found)).entries[0].fingerprints[0]


async def test_every_node_proves_its_set_and_no_probe_remains(
    supervisor: Supervisor, kubelet: Kubelet, apiserver: Any
) -> None:
    data = base64.b64encode(json.dumps({"auths": {"r": {"auth": "c2VjcmV0"}}}).encode()).decode()
    metadata = {"name": f"pull-{supervisor.namespace}", "namespace": SYSTEM}
    body = {"metadata": metadata, "type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": data}}
    await supervisor.client.create(SECRETS, body)
    await supervisor.configure(entry("corp", make_ca("corp")))
    selected = {"matchLabels": {"kubernetes.io/metadata.name": supervisor.namespace}}
    spec = {"pullSecretRef": {"name": metadata["name"]}, "namespaceSelector": selected}
    async with supervisor.running(), registry(supervisor, **spec) as (name, host):
        kubelet.messages[host] = NOT_FOUND
        fingerprint = await cluster(supervisor, "shop", "cp-0", "worker-0", kubeconfig=apiserver.kubeconfig)
        trust = await trust_of(supervisor, "shop", lambda one: condition_of(one, "Proven") == TRUE_PROVEN)
        assert condition_of(trust, "Current") == ("True", "UpToDate")
        assert trust.status.proven_nodes == "2/2"
        assert trust.status.nodes == []
        assert trust.status.desired
        assert [one.fingerprints for one in trust.status.desired.entries] == [[fingerprint]]
        owner = trust.metadata.owner_references[0]
        assert (owner.kind, owner.name) == ("Cluster", "shop")
        pulls = {(node, host) for node, host, secrets in kubelet.pulls if len(secrets) == 1}
        assert pulls == {("cp-0", host), ("worker-0", host)}
        found = await until(supervisor.client, REGISTRIES, name, "", lambda one: one.status.trusting_clusters == "1/1")
        assert {one.type: (one.status, one.reason) for one in found.status.conditions} == {
            "Reachable": ("True", "FromNodes"),
            "Trusted": ("True", "Proven"),
            "AtRisk": ("Unknown", "NotReached"),
            "PullSecret": ("True", "Copied"),
        }
    assert await supervisor.client.list(PODS, probe.PROBE_NAMESPACE, labels=probe.PROBE_SELECTOR) == []
    left = await supervisor.client.list(SECRETS, probe.PROBE_NAMESPACE, labels=f"{probe.PROBE_LABEL}=probe-pull-secret")
    assert left == []


async def test_a_cluster_whose_namespace_is_not_selected_is_proven_and_gets_no_pull_secret(
    supervisor: Supervisor, kubelet: Kubelet, apiserver: Any
) -> None:
    metadata = {"name": f"pull-{supervisor.namespace}", "namespace": SYSTEM}
    body = {"metadata": metadata, "type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "e30="}}
    await supervisor.client.create(SECRETS, body)
    await supervisor.configure(entry("corp", make_ca("corp")))
    # The cluster's owner sets the label by which the Registry selects it.
    spec = {
        "pullSecretRef": {"name": metadata["name"]},
        "namespaceSelector": {"matchLabels": {"test": supervisor.namespace}},
    }
    async with supervisor.running(), registry(supervisor, **spec) as (_, host):
        kubelet.messages[host] = NOT_FOUND
        await cluster(supervisor, "shop", "worker-0", kubeconfig=apiserver.kubeconfig)
        await trust_of(supervisor, "shop", lambda one: condition_of(one, "Proven") == TRUE_PROVEN)
        assert [(node, secrets) for node, at, secrets in kubelet.pulls if at == host] == [("worker-0", [])]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"pullSecretRef": {"name": "pull"}}, "without a namespaceSelector"),
        ({"pullSecretRef": {"name": "pull", "namespace": "platform"}, "namespaceSelector": {}}, "another namespace"),
    ],
)
async def test_a_registry_that_exposes_a_secret_is_refused(supervisor: Supervisor, spec: Json, words: str) -> None:
    with pytest.raises(InvalidError, match=words):
        async with registry(supervisor, **spec):
            pass


async def test_a_refusal_names_node_registry_and_fingerprint_and_ends_when_it_is_fixed(
    supervisor: Supervisor, kubelet: Kubelet, apiserver: Any, trustplane: Trustplane
) -> None:
    await supervisor.configure(entry("corp", make_ca("corp")))
    async with supervisor.running(), registry(supervisor) as (_, host):
        kubelet.messages[host] = UNTRUSTED
        fingerprint = await cluster(supervisor, "shop", "worker-0", kubeconfig=apiserver.kubeconfig)
        trust = await trust_of(supervisor, "shop", lambda one: condition_of(one, "Proven") == ("False", "NotTrusted"))
        message = next(one.message for one in trust.status.conditions if one.type == "Proven")
        assert f"worker-0: {host} is not trusted: x509: certificate signed by unknown authority" in message
        assert fingerprint[:10] in message
        assert [(node.name, node.state) for node in trust.status.nodes] == [("worker-0", "NotTrusted")]
        code, out, _ = await trustplane.run("status", "shop", "-n", supervisor.namespace, "-o", "json")
        shown = json.loads(out)
        assert (code, shown["good"], shown["nodes"][0]["state"]) == (1, False, "NotTrusted")
        assert shown["entries"][0]["fingerprints"] == [fingerprint]
        where = ("shop", "-n", supervisor.namespace)
        code, out, _ = await trustplane.run("prove", *where)
        assert (code, "NotTrusted" in out) == (1, True)
        kubelet.messages[host] = NOT_FOUND
        code, out, err = await trustplane.run("prove", *where, "--registry", host, "-o", "json")
        assert (code, [result["verdict"] for result in json.loads(out)]) == (0, ["Trusted"]), err
        await trust_of(supervisor, "shop", lambda one: condition_of(one, "Proven") == TRUE_PROVEN)
        code, out, _ = await trustplane.run("status", "-n", supervisor.namespace)
        assert (code, "1/1" in out) == (0, True)


async def test_a_change_in_place_is_proven_again(supervisor: Supervisor, kubelet: Kubelet, apiserver: Any) -> None:
    await supervisor.configure(entry("corp", make_ca("corp")))
    async with supervisor.running(), registry(supervisor) as (_, host):
        kubelet.messages[host] = NOT_FOUND
        await cluster(supervisor, "shop", "worker-0", kubeconfig=apiserver.kubeconfig)
        trust = await trust_of(supervisor, "shop", lambda one: condition_of(one, "Proven") == TRUE_PROVEN)
        assert trust.status.in_force
        kubelet.silent.add("worker-0")
        changed = await change(supervisor, "worker-0", trust.status.in_force.digest)
        trust = await trust_of(supervisor, "shop", lambda one: condition_of(one, "Proven") == ("False", "Applied"))
        assert (trust.status.nodes[0].state, trust.status.nodes[0].method) == ("Applied", "InPlace")
        kubelet.silent.clear()
        async with supervisor.running():  # the one that waits for the silent kubelet runs in parallel
            await trust_of(supervisor, "shop", lambda one: condition_of(one, "Proven") == TRUE_PROVEN)
        proof = await annotation(supervisor, "worker-0", TRUST_PROOF)
        assert datetime.fromisoformat(proof["at"]) > changed
        # The written set, byte for byte: the rollout compares both.
        assert trust.status.in_force
        assert proof["digest"] == trust.status.in_force.digest


async def test_an_unavailable_cluster_delays_no_other(supervisor: Supervisor, kubelet: Kubelet, apiserver: Any) -> None:
    dead: Json = json.loads(json.dumps(apiserver.kubeconfig))
    dead["clusters"][0]["cluster"]["server"] = DEAD
    await supervisor.configure(entry("corp", make_ca("corp")))
    async with supervisor.running(), registry(supervisor) as (_, host):
        kubelet.messages[host] = NOT_FOUND
        await cluster(supervisor, "gone", "gone-0", kubeconfig=dead)
        await cluster(supervisor, "shop", "worker-0", kubeconfig=apiserver.kubeconfig)
        await trust_of(supervisor, "shop", lambda one: condition_of(one, "Proven") == TRUE_PROVEN)
        gone = await trust_of(supervisor, "gone", lambda one: condition_of(one, "Proven") == ("False", "Applied"))
        assert gone.status.nodes[0].name == "gone-0"
        await node_ready(supervisor, "gone-0", "Unknown", "Kubelet stopped posting node status")
        gone = await trust_of(supervisor, "gone", lambda one: condition_of(one, "Proven") == ("False", "Unreachable"))
        assert "stopped posting" in gone.status.nodes[0].message


async def test_leftovers_of_a_killed_run_are_removed(supervisor: Supervisor, kubelet: Kubelet, apiserver: Any) -> None:
    await supervisor.configure(entry("corp", make_ca("corp")))
    async with supervisor.running(), registry(supervisor) as (_, host):
        kubelet.messages[host] = NOT_FOUND
        await cluster(supervisor, "shop", "worker-0", kubeconfig=apiserver.kubeconfig)
        await trust_of(supervisor, "shop", lambda one: condition_of(one, "Proven") == TRUE_PROVEN)
    old = datetime.now(UTC) - timedelta(hours=1)
    pod = probe.build_probe_pod("worker-0", host, "left0left0", run="dead", now=old)
    await supervisor.client.create(PODS, pod)
    # The Registry is deleted: no node is due.
    labels = {probe.PROBE_LABEL: "probe-pull-secret"}
    metadata = {
        "namespace": probe.PROBE_NAMESPACE,
        "labels": labels,
        "annotations": {probe.EXPIRES_AT: old.isoformat()},
    }
    await supervisor.client.create(SECRETS, {"metadata": {**metadata, "name": "probe-pull-left"}})
    async with supervisor.running():
        await until_gone(supervisor.client, PODS, "probe-left0left0", probe.PROBE_NAMESPACE)
        await until_gone(supervisor.client, SECRETS, "probe-pull-left", probe.PROBE_NAMESPACE)


async def test_messages_alone_prove_nothing_and_the_missing_evidence_is_named(
    supervisor: Supervisor, kubelet: Kubelet, apiserver: Any, trustplane: Trustplane, inspector: Inspector
) -> None:
    """The kubelet has the same message in all three cases."""
    await supervisor.configure(entry("corp", make_ca("corp")))
    inspector.error = "Node 198.51.100.7 refuses the SSH key"
    where = ("shop", "-n", supervisor.namespace)
    async with supervisor.running(), registry(supervisor) as (name, host):
        kubelet.messages[host] = NOT_FOUND
        await cluster(supervisor, "shop", "worker-0", kubeconfig=apiserver.kubeconfig)
        trust = await trust_of(supervisor, "shop", lambda one: condition_of(one, "Proven") == ("Unknown", "Accepted"))
        assert (trust.status.nodes[0].state, trust.status.summary.accepted) == ("Accepted", 1)
        assert f"{host} was accepted" in trust.status.nodes[0].message
        assert "refuses the SSH key" in trust.status.nodes[0].message
        code, out, err = await trustplane.run("prove", *where, "-o", "json")
        assert (code, [result["verdict"] for result in json.loads(out)]) == (3, ["Accepted"]), err
        found = await until(supervisor.client, REGISTRIES, name, "", lambda one: bool(one.status.conditions))
        assert (found.status.nodes.trusting, found.status.trusting_clusters) == (0, "0/1")

        inspector.error = ""
        inspector.reach[host] = RegistryAccess(
            registry=host, verification=UNVERIFIABLE, reason="skip_verify", next_step="Remove it"
        )
        code, out, err = await trustplane.run("prove", *where, "-o", "json")
        shown = [(result["verdict"], result["message"]) for result in json.loads(out)]
        assert (code, shown) == (1, [("Unclear", "skip_verify. Remove it")]), err
        trust = await trust_of(supervisor, "shop", lambda one: condition_of(one, "Proven") == ("Unknown", "Unclear"))
        assert (trust.status.nodes[0].state, trust.status.summary.unclear) == ("Unclear", 1)

        inspector.reach.clear()
        assert (await trustplane.run("prove", *where))[0] == 0
        await trust_of(supervisor, "shop", lambda one: condition_of(one, "Proven") == TRUE_PROVEN)


async def test_a_class_of_a_user_is_watched_by_its_variable(
    supervisor: Supervisor, kubelet: Kubelet, apiserver: Any, inspector: Inspector
) -> None:
    pem, client = make_ca("corp"), supervisor.client
    twice = base64.b64encode(base64.b64encode(pem.encode())).decode()
    metadata = {"name": "theirs-user-trusted-ca-secret", "namespace": supervisor.namespace}
    await client.create(SECRETS, {"metadata": metadata, "data": {"corp": twice}})
    for name, variables in (
        ("theirs", [{"name": "trust", "value": {"additionalTrustedCAs": [{"name": "corp"}]}}]),
        ("other", []),
    ):
        topology = {
            "classRef": {"name": "own-class"},
            "version": "v1.36.3",
            **({"variables": variables} if variables else {}),
        }
        metadata = {"name": name, "namespace": supervisor.namespace, "labels": {"test": supervisor.namespace}}
        await client.apply(CLUSTERS, {"metadata": metadata, "spec": {"topology": topology}}, manager="user")
    async with supervisor.running(), registry(supervisor) as (_, host):
        kubelet.messages[host] = NOT_FOUND
        await supervisor._report(await supervisor.cluster("theirs"))
        await make_nodes(supervisor, "theirs", "theirs-0", kubeconfig=apiserver.kubeconfig)
        # Without a key for SSH, no inspection shows whether its nodes verify.
        trust = await trust_of(supervisor, "theirs", lambda one: condition_of(one, "Proven") == ("Unknown", "Accepted"))
        assert "theirs-ssh" in trust.status.nodes[0].message or "<cluster>-ssh" in trust.status.nodes[0].message
        key = base64.b64encode(b"-----BEGIN OPENSSH PRIVATE KEY-----").decode()
        metadata = {"name": "theirs-ssh", "namespace": supervisor.namespace}
        await client.create(SECRETS, {"metadata": metadata, "data": {"ssh-privatekey": key}})
    async with supervisor.running(), registry(supervisor) as (_, host):  # one that has not requested the key yet
        kubelet.messages[host] = NOT_FOUND
        trust = await trust_of(supervisor, "theirs", lambda one: condition_of(one, "Proven") == TRUE_PROVEN)
        assert inspector.repairs == set()
        assert trust.status.desired
        assert trust.status.desired.source == "Cluster"
        assert [one.name for one in trust.status.desired.entries] == ["corp"]
        assert await client.find(CLUSTER_TRUSTS, "other", supervisor.namespace) is None


async def test_parts_without_trust_are_reported_until_they_are_removed(supervisor: Supervisor) -> None:
    value: Json = {"additionalTrustedCAs": []}
    topology = {
        "classRef": {"name": "own-class"},
        "version": "v1.36.3",
        "variables": [{"name": "trust", "value": value}],
        "controlPlane": {"variables": {"overrides": [{"name": "trust", "value": value}]}},
        "workers": {"machinePools": [{"class": "w", "name": "spot"}]},
    }
    metadata = {"name": "theirs", "namespace": supervisor.namespace}
    async with supervisor.running():
        await supervisor.client.apply(CLUSTERS, {"metadata": metadata, "spec": {"topology": topology}}, manager="user")
        trust = await trust_of(supervisor, "theirs", lambda one: condition_of(one, WHOLE)[1] == "OverridesIgnored")
        found = condition(trust.status.conditions, WHOLE)
        assert found
        assert "spec.topology.controlPlane.variables.overrides[trust]" in found.message
        assert "spot" in found.message
        del topology["controlPlane"]
        await supervisor.client.apply(CLUSTERS, {"metadata": metadata, "spec": {"topology": topology}}, manager="user")
        await trust_of(supervisor, "theirs", lambda one: condition_of(one, WHOLE) == ("False", "MachinePoolsLeftOut"))
        del topology["workers"]
        await supervisor.client.apply(CLUSTERS, {"metadata": metadata, "spec": {"topology": topology}}, manager="user")
        await trust_of(supervisor, "theirs", lambda one: condition_of(one, WHOLE) == ("", ""))
        await supervisor.cluster("theirs", lambda one: _says(one) == ("True", "NoNodes"))
        del topology["variables"]  # Trustplane no longer manages its trust
        await supervisor.client.apply(CLUSTERS, {"metadata": metadata, "spec": {"topology": topology}}, manager="user")
        await supervisor.cluster("theirs", lambda one: _says(one) == ("", ""))
    events = await supervisor.client.list(EVENTS, supervisor.namespace, fields="regarding.name=theirs")
    reasons = {event["reason"] for event in events if event["regarding"]["kind"] == "ClusterTrust"}
    assert {"WholeClusterOverridesIgnored", "WholeClusterMachinePoolsLeftOut"} <= reasons


def _says(found: Cluster) -> tuple[str, str]:
    one = condition(found.status.conditions, TRUST_UP_TO_DATE)
    return (one.status, one.reason) if one else ("", "")


async def test_any_cluster_can_be_probed_with_only_its_kubeconfig(
    supervisor: Supervisor, kubelet: Kubelet, trustplane: Trustplane
) -> None:
    host = "direct.test.invalid:5000"
    kubelet.messages[host] = UNTRUSTED
    for name in ("direct-0", "direct-1"):
        await supervisor.client.create(NODES, {"metadata": {"name": name}, "spec": {"unschedulable": True}})
    try:
        code, out, err = await trustplane.run("prove", "--registry", host, "-o", "json")
        assert code == 1, err
        rows = {(result["node"], result["verdict"]) for result in json.loads(out)}
        assert {("direct-0", "NotTrusted"), ("direct-1", "NotTrusted")} <= rows
        kubelet.messages[host] = NOT_FOUND
        code, out, _ = await trustplane.run("prove", "--registry", host, "-o", "json")
        rows = {(result["node"], result["verdict"]) for result in json.loads(out)}
        assert (code, {("direct-0", "Accepted"), ("direct-1", "Accepted")} <= rows) == (3, True)
        assert all("skip_verify" in result["message"] for result in json.loads(out))
    finally:
        for name in ("direct-0", "direct-1"):
            await supervisor.client.delete(NODES, name)


async def test_plan_shows_effects_in_advance(supervisor: Supervisor, trustplane: Trustplane, tmp_path: Path) -> None:
    old, new = entry("corp", make_ca("corp")), entry("apps", make_ca("apps"))
    await supervisor.configure(old)
    async with supervisor.running():
        await supervisor.make("shop")
        await supervisor.trusting("shop", "corp")
    file = tmp_path / "configuration.yaml"

    async def plan(*entries: Json) -> tuple[int | None, Json]:
        spec = {"defaultCNI": "antrea", "trust": {"additionalTrustedCAs": list(entries)}}
        metadata = {"name": "tkg-service-configuration"}
        kind = {"apiVersion": "run.tanzu.vmware.com/v1alpha1", "kind": "TkgServiceConfiguration"}
        file.write_text(yaml.safe_dump({**kind, "metadata": metadata, "spec": spec}))
        code, out, err = await trustplane.run("plan", "-f", str(file), "-o", "json")
        assert out, err
        document: Json = json.loads(out)
        key = Key(supervisor.namespace, "shop")
        document["shop"] = next(one for one in document["clusters"] if (one["namespace"], one["name"]) == key)
        return code, document

    code, found = await plan(old)
    assert (code, found["shop"]["effect"]) == (0, "Nothing")
    code, found = await plan(old, new)
    assert (code, found["shop"]["effect"], found["shop"]["how"]) == (0, "Held", None)
    assert [one["name"] for one in found["shop"]["added"]] == ["apps"]
    code, found = await plan(old, {"name": "bad", "data": "bm90aGluZw=="})
    assert (code, found["canBeApplied"]) == (1, False)
    assert [finding["code"] for finding in found["documents"][0]["findings"]] == ["no-certificate"]
    code, found = await plan(old, {"name": "bad", "data": "!"})
    assert code == 1
    assert {"refused", "not-base64"} <= {finding["code"] for finding in found["documents"][0]["findings"]}
    # The plan wrote nothing.
    assert await supervisor.trusted(await supervisor.cluster("shop")) == ["corp"]


async def test_update_waits_until_it_is_proven(
    supervisor: Supervisor, kubelet: Kubelet, apiserver: Any, trustplane: Trustplane
) -> None:
    await supervisor.configure(entry("corp", make_ca("corp")))
    async with supervisor.running(), registry(supervisor) as (_, host):
        kubelet.messages[host] = NOT_FOUND
        kubelet.silent.add("worker-0")
        await cluster(supervisor, "shop", "worker-0", kubeconfig=apiserver.kubeconfig)
        arguments = ("update", "shop", "-n", supervisor.namespace)
        code, _, err = await trustplane.run(*arguments, "--timeout", "8")
        assert code == 75, err
        assert "Proving" in err
        code, out, _ = await trustplane.run(*arguments, "--no-prove", "-o", "json")
        assert (code, json.loads(out)[0]["state"]) == (0, "Current")


async def test_unknown_clusters_are_named(supervisor: Supervisor, trustplane: Trustplane) -> None:
    for command in ("status", "prove"):
        code, _, err = await trustplane.run(command, "none", "-n", supervisor.namespace)
        assert code == 2
        assert "none" in err
