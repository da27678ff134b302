"""The life of a cluster from the first apply to its deletion, with the controllers on a real API server."""

import asyncio
import base64
import contextlib
import random
from typing import Any

import asyncssh
import pytest
from tests.apiserver.controllers.conftest import (
    KUBERNETES,
    SYSTEM,
    Supervisor,
    entry,
    make_ca,
    secret_name,
    until,
    until_gone,
)

from trustplane.api.annotations import CLUSTER_NAME_LABEL, COMPONENT_LABEL
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.conditions import READY, RELEASE_COMPATIBLE, TRUST_CURRENT, TRUST_UP_TO_DATE
from trustplane.api.configuration import NAME
from trustplane.api.meta import Json, condition
from trustplane.clusterapi import release
from trustplane.controllers.clusters.deletion import CLUSTER_FINALIZER
from trustplane.kube.errors import InvalidError
from trustplane.kube.kinds import CLUSTERS, CONFIGURATIONS, EVENTS, RELEASES, SECRETS, TANZU_CLUSTERS
from trustplane.kube.kinds import PLAIN_SECRETS as RAW_SECRETS
from trustplane.kube.resource import Resource


def _is(tkc: TanzuKubernetesCluster, type_: str, status: str) -> bool:
    found = condition([*tkc.status.conditions], type_)
    return found is not None and found.status == status


async def _versions(supervisor: Supervisor, name: str) -> dict[str, str]:
    """Return the resource version of each of Trustplane's objects."""
    client, namespace = supervisor.client, supervisor.namespace
    objects = [
        await client.get(TANZU_CLUSTERS, name, namespace),
        await client.get(CLUSTERS, name, namespace),
        await client.get(CONFIGURATIONS, NAME),
        *await client.list(RELEASES),
        *await client.list(SECRETS, namespace),
        *await client.list(SECRETS, SYSTEM),
    ]
    return {f"{one.kind} {one.metadata.name}": one.metadata.resource_version for one in objects}


async def test_a_cluster_is_created_owned_and_reported(supervisor: Supervisor) -> None:
    async with supervisor.running():
        await supervisor.make("c")
        cluster = await supervisor.cluster("c")
        tkc = await supervisor.tkc("c", lambda tkc: tkc.status.phase == "creating")
        assert [owner.uid for owner in cluster.metadata.owner_references] == [tkc.metadata.uid]
        assert tkc.metadata.finalizers == [CLUSTER_FINALIZER]

        await supervisor.play("c")
        running = await supervisor.tkc("c", lambda tkc: tkc.status.phase == "running")
        assert _is(running, READY, "True")
        assert running.status.observed_generation == running.metadata.generation
        ready = await until(
            supervisor.client,
            RELEASES,
            release.release_name(f"{KUBERNETES}+{release.BUILD_SUFFIX}"),
            "",
            lambda _: True,
        )
        assert {one.type for one in ready.status.conditions} >= {"Ready", "Compatible"}


async def test_the_ssh_key_is_created_once(supervisor: Supervisor) -> None:
    client, namespace = supervisor.client, supervisor.namespace
    async with supervisor.running():
        await supervisor.make("c")
        cluster = await supervisor.cluster("c")
        secret = await client.get(SECRETS, "c-ssh", namespace)
        key = asyncssh.import_private_key(base64.b64decode(secret.data["ssh-privatekey"]))
        authorised = asyncssh.import_public_key(cluster.variable("user")["sshAuthorizedKey"])
        assert key.public_data == authorised.public_data
        assert secret.type == "kubernetes.io/ssh-auth"
        names = [one.metadata.name for one in await client.list(SECRETS, namespace)]
        assert set(names) <= {"c-ssh", "c-trust"}  # no password, no set without a list
    async with supervisor.running():
        await supervisor.label("c", "seen", "again")
        await supervisor.cluster("c", lambda found: found.metadata.labels.get("seen") == "again")
        assert (await client.get(SECRETS, "c-ssh", namespace)).metadata.resource_version == (
            secret.metadata.resource_version
        )


async def test_a_secret_without_a_key_is_explained_and_a_valid_one_taken(supervisor: Supervisor) -> None:
    client, namespace = supervisor.client, supervisor.namespace
    body: Json = {"metadata": {"name": "c-ssh", "namespace": namespace}, "type": "Opaque"}
    await client.create(RAW_SECRETS, {**body, "stringData": {"ssh-privatekey": "no key"}})
    async with supervisor.running():
        await supervisor.make("c")
        explained = await supervisor.tkc("c", lambda tkc: _is(tkc, READY, "False") and tkc.status.phase == "failed")
        ready = condition([*explained.status.conditions], READY)
        assert ready is not None
        assert "Secret c-ssh has no usable SSH key" in ready.message

        own = asyncssh.generate_private_key("ssh-ed25519")
        mended = {"stringData": {"ssh-privatekey": own.export_private_key().decode()}}
        await client.patch(RAW_SECRETS, "c-ssh", namespace, mended)
        await supervisor.label("c", "seen", "again")
        cluster = await supervisor.cluster("c")
        assert asyncssh.import_public_key(cluster.variable("user")["sshAuthorizedKey"]).public_data == own.public_data


async def test_an_unknown_release_is_explained_and_a_running_cluster_stays_unchanged(supervisor: Supervisor) -> None:
    client, namespace = supervisor.client, supervisor.namespace
    async with supervisor.running():
        await supervisor.make("c", release="v1.99.0")
        refused = await supervisor.tkc("c", lambda tkc: _is(tkc, RELEASE_COMPATIBLE, "False"))
        compatible = condition([*refused.status.conditions], RELEASE_COMPATIBLE)
        assert compatible is not None
        assert "v1.99.0" in compatible.message
        assert await client.find(CLUSTERS, "c", namespace) is None

        await client.apply(RELEASES, release.release_body("v1.99.0"), manager="test")
        cluster = await supervisor.cluster("c")
        assert cluster.spec.topology.version == "v1.99.0"
        await client.delete(RELEASES, release.release_name(f"v1.99.0+{release.BUILD_SUFFIX}"))
        await supervisor.tkc("c", lambda tkc: _is(tkc, RELEASE_COMPATIBLE, "False"))
        assert (await client.get(CLUSTERS, "c", namespace)).metadata.generation == cluster.metadata.generation


async def test_if_cluster_api_refuses_taints_the_feature_gate_is_named(supervisor: Supervisor) -> None:
    client, namespace = supervisor.client, supervisor.namespace
    body: Json = {"metadata": {"name": f"taints-{namespace}"}, "spec": _gate(namespace)}
    await client.apply(POLICIES, body, manager="test")
    binding = {"policyName": f"taints-{namespace}", "validationActions": ["Deny"]}
    await client.apply(BINDINGS, {"metadata": body["metadata"], "spec": binding}, manager="test")
    try:
        await _until_refused(supervisor)
        async with supervisor.running():
            await supervisor.make("c", pool={"taints": [{"key": "dedicated", "effect": "NoSchedule"}]})
            failed = await supervisor.tkc("c", lambda tkc: tkc.status.phase == "failed")
            ready = condition([*failed.status.conditions], READY)
            assert ready
            assert ready.reason == "ProvisioningFailed"
            for words in ("MachineTaintPropagation", "EXP_MACHINE_TAINT_PROPAGATION=true", "remove the taints"):
                assert words in ready.message
            await supervisor.make("c", pool={"taints": []})
            await supervisor.cluster("c")
    finally:
        await client.delete(BINDINGS, f"taints-{namespace}")
        await client.delete(POLICIES, f"taints-{namespace}")


POLICIES: Resource[Any] = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingAdmissionPolicy",
    "validatingadmissionpolicies",
    dict,
    namespaced=False,
)
BINDINGS: Resource[Any] = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingAdmissionPolicyBinding",
    "validatingadmissionpolicybindings",
    dict,
    namespaced=False,
)


def _gate(namespace: str) -> Json:
    """Return a policy that refuses taints like Cluster API's webhook without the gate, with the same message."""
    group, operations = "cluster.x-k8s.io", ["CREATE", "UPDATE"]
    rule = {"apiGroups": [group], "apiVersions": ["*"], "resources": ["clusters"], "operations": operations}
    words = "taints are not allowed to be set when the feature gate MachineTaintPropagation is disabled"
    pools = "object.spec.?topology.?workers.?machineDeployments.orValue([])"
    return {
        "matchConstraints": {
            "resourceRules": [rule],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        },
        "validations": [
            {
                "expression": f"!{pools}.exists(one, has(one.taints))",
                "message": f"spec.topology.workers.machineDeployments[np].taints: Forbidden: {words}",
                "reason": "Invalid",
            }
        ],
    }


async def _until_refused(supervisor: Supervisor) -> None:
    """Wait until the policy is in force: the API server needs a moment."""
    taints = [{"key": "a", "effect": "NoSchedule", "propagation": "Always"}]
    pools = [{"class": "node-pool", "name": "np", "taints": taints}]
    topology = {"classRef": {"name": "x"}, "version": KUBERNETES, "workers": {"machineDeployments": pools}}
    kind = {"apiVersion": CLUSTERS.api_version, "kind": CLUSTERS.kind, "metadata": {"name": "probe"}}
    body, path = {**kind, "spec": {"topology": topology}}, CLUSTERS.path(supervisor.namespace)
    async with asyncio.timeout(30):
        with contextlib.suppress(InvalidError):
            while await supervisor.client.raw(  # noqa: ASYNC110  a policy tells nobody
                "POST", path, body=body, params={"dryRun": "All"}
            ):
                await asyncio.sleep(0.1)


async def test_a_cluster_of_a_user_is_not_changed(supervisor: Supervisor) -> None:
    client, namespace = supervisor.client, supervisor.namespace
    topology = {"classRef": {"name": "theirs"}, "version": KUBERNETES}
    body = {"metadata": {"name": "c", "namespace": namespace}, "spec": {"topology": topology}}
    before = await client.create(CLUSTERS, body)
    async with supervisor.running():
        await supervisor.make("c")
        explained = await supervisor.tkc("c", lambda tkc: _is(tkc, READY, "False"))
        ready = condition([*explained.status.conditions], READY)
        assert ready is not None
        assert "does not belong to this TanzuKubernetesCluster" in ready.message
        assert "another name" in ready.message

        await client.delete(TANZU_CLUSTERS, "c", namespace)
        await until_gone(client, TANZU_CLUSTERS, "c", namespace)
        after = await client.get(CLUSTERS, "c", namespace)
        assert after.metadata.resource_version == before.metadata.resource_version


async def test_deletion_waits_for_the_cluster_and_leaves_nothing(supervisor: Supervisor) -> None:
    client, namespace = supervisor.client, supervisor.namespace
    async with supervisor.running():
        await supervisor.make("c", trust=[entry("own", make_ca("own"))])
        cluster = await supervisor.trusting("c", "own")
        # As Cluster API's controllers: a finalizer, and a Secret for the garbage collector.
        guarded = {"metadata": {"finalizers": ["cluster.cluster.x-k8s.io"]}}
        await client.patch(CLUSTERS, "c", namespace, guarded)
        owner = {"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Cluster", "name": "c", "uid": cluster.metadata.uid}
        kubeconfig: Json = {"name": "c-kubeconfig", "namespace": namespace, "labels": {CLUSTER_NAME_LABEL: "c"}}
        await client.create(RAW_SECRETS, {"metadata": {**kubeconfig, "ownerReferences": [owner]}})
        metadata = {"name": "c-mine", "namespace": namespace, "labels": {CLUSTER_NAME_LABEL: "c"}}
        await client.create(RAW_SECRETS, {"metadata": metadata})

        await client.delete(TANZU_CLUSTERS, "c", namespace)
        await supervisor.cluster("c", lambda found: found.metadata.deletion_timestamp is not None)
        await supervisor.tkc("c", lambda tkc: tkc.status.phase == "deleting")
        assert await client.find(SECRETS, "c-ssh", namespace)  # the manager may still connect to nodes

        await client.patch(CLUSTERS, "c", namespace, {"metadata": {"finalizers": None}})
        await until_gone(client, SECRETS, "c-ssh", namespace)
        assert await client.find(TANZU_CLUSTERS, "c", namespace)
        await client.delete(RAW_SECRETS, "c-kubeconfig", namespace)
        await until_gone(client, TANZU_CLUSTERS, "c", namespace)
        assert [one.metadata.name for one in await client.list(SECRETS, namespace)] == ["c-mine"]
        assert await client.find(CLUSTERS, "c", namespace) is None


async def test_a_cluster_deleted_by_another_client_is_created_again(supervisor: Supervisor) -> None:
    async with supervisor.running():
        await supervisor.make("c", trust=[entry("own", make_ca("own"))])
        before = await supervisor.trusting("c", "own")
        await supervisor.client.delete(CLUSTERS, "c", supervisor.namespace)
        after = await supervisor.cluster("c", lambda found: found.metadata.uid != before.metadata.uid)
        assert secret_name(after) == secret_name(before)


async def test_a_lost_secret_is_created_again(supervisor: Supervisor) -> None:
    async with supervisor.running():
        await supervisor.make("c", trust=[entry("own", make_ca("own"))])
        name = secret_name(await supervisor.trusting("c", "own"))
        lost = await supervisor.client.get(SECRETS, name, supervisor.namespace)
        await supervisor.client.delete(SECRETS, name, supervisor.namespace)
        await until(
            supervisor.client,
            SECRETS,
            name,
            supervisor.namespace,
            lambda found: found.metadata.uid != lost.metadata.uid,
        )


async def test_nothing_is_written_if_nothing_changed(supervisor: Supervisor) -> None:
    async with supervisor.running():
        await supervisor.configure(entry("a", make_ca("a")))
        await supervisor.make("c", trust=[entry("own", make_ca("own"))])
        await supervisor.trusting("c", "own")
        await supervisor.play("c")
        await supervisor.tkc("c", lambda tkc: _is(tkc, READY, "True") and _is(tkc, TRUST_CURRENT, "True"))
        await supervisor.cluster("c", lambda one: condition(one.status.conditions, TRUST_UP_TO_DATE) is not None)
        before = await _versions(supervisor, "c")
    async with supervisor.running():
        # Every queue handles a second cluster after the first.
        await supervisor.make("later")
        await supervisor.tkc("later", lambda tkc: _is(tkc, RELEASE_COMPATIBLE, "True"))
        after = await _versions(supervisor, "c")
        assert {name: after[name] for name in before} == before
        events = await supervisor.client.list(EVENTS, supervisor.namespace, fields="regarding.name=c")
        assert [event["note"] for event in events if event.get("series")] == []


@pytest.mark.parametrize("seed", range(3))
async def test_controllers_killed_at_any_point_converge_to_the_same_state(supervisor: Supervisor, seed: int) -> None:
    random_ = random.Random(seed)  # noqa: S311  chooses when to kill
    first, second = entry("a", make_ca("a")), entry("b", make_ca("b"))

    async def lives_briefly() -> None:
        async with supervisor.running() as controllers:
            await asyncio.sleep(random_.uniform(0.0, 0.15))
            controllers.cancel()

    await supervisor.configure(first)
    await supervisor.make("c")
    # Updates in place have their own kills: test_rollout_nodes.
    await supervisor.annotate("c", update_strategy="Replace")
    for _ in range(4):
        await lives_briefly()
    await supervisor.configure(first, second)
    await supervisor.annotate("c", update_requested_at="2026-01-01T00:00:00Z")
    for _ in range(4):
        await lives_briefly()
    async with supervisor.running():
        cluster = await supervisor.trusting("c", "a", "b")
        async with supervisor.following("c"):
            await supervisor.tkc("c", lambda tkc: _is(tkc, READY, "True") and _is(tkc, TRUST_CURRENT, "True"))
        secrets: list[Any] = await supervisor.client.list(SECRETS, supervisor.namespace)
        assert {secret.metadata.name for secret in secrets} >= {"c-ssh", secret_name(cluster)}
        assert await supervisor.trusted(cluster) == ["a", "b"]

        await supervisor.client.delete(TANZU_CLUSTERS, "c", supervisor.namespace)
        await asyncio.sleep(random_.uniform(0.0, 0.05))
    async with supervisor.running():
        await until_gone(supervisor.client, TANZU_CLUSTERS, "c", supervisor.namespace)
        # Bootstrap data belongs to Cluster API.
        assert await supervisor.client.list(SECRETS, supervisor.namespace, labels=COMPONENT_LABEL) == []
