"""The rules of propagation (docs/reference/propagation.md) with the controllers on a real API server."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.apiserver.controllers.conftest import Supervisor, entry, make_ca, secret_name, until

from trustplane.api.annotations import ALLOW_REMOVAL, COMPONENT_LABEL, TRUST_COMPONENT, TRUST_DIGEST, TRUST_MERGE
from trustplane.api.cluster import TanzuKubernetesCluster
from trustplane.api.clusterapi import Cluster
from trustplane.api.conditions import TRUST_CURRENT, TRUST_VALID
from trustplane.api.configuration import NAME, TkgServiceConfiguration
from trustplane.api.meta import condition
from trustplane.clusterapi import release
from trustplane.kube.kinds import CLUSTERS, CONFIGURATIONS, EVENTS, MACHINES, RELEASES, SECRETS
from trustplane.rollout.execution.trust_secrets import KEPT_SETS


def _is(tkc: TanzuKubernetesCluster, type_: str, status: str, reason: str = "") -> bool:
    found = condition([*tkc.status.conditions], type_)
    return found is not None and found.status == status and reason in ("", found.reason)


def _message(tkc: TanzuKubernetesCluster, type_: str) -> str:
    found = condition([*tkc.status.conditions], type_)
    assert found is not None
    return found.message


async def _content(supervisor: Supervisor, cluster: Cluster) -> dict[str, str]:
    """Return the trust files of the cluster's nodes, by key of the Secret."""
    secret = await until(supervisor.client, SECRETS, secret_name(cluster), supervisor.namespace, lambda _: True)
    assert secret.immutable
    return {key: base64.b64decode(data).decode() for key, data in secret.data.items()}


async def _told(supervisor: Supervisor, name: str, *reasons: str) -> None:
    """Wait until the events of a cluster report these reasons for taking its trust, and no other."""
    told: list[str] = []
    selector = f"regarding.name={name},reason=TrustTaken"
    async with asyncio.timeout(20):
        async for event in supervisor.client.watch(EVENTS, supervisor.namespace, version="", fields=selector):
            if event.type == "ADDED":
                told.append(EVENTS.decode(event.object)["note"].partition(":")[0])
            if len(told) >= len(reasons):
                break
    assert sorted(told) == sorted(reasons)


async def test_a_cluster_created_right_after_the_configuration_has_its_trust(supervisor: Supervisor) -> None:
    ca = make_ca("corp")
    async with supervisor.running():
        await until(supervisor.client, CONFIGURATIONS, NAME, "", lambda _: True)
        await supervisor.configure(entry("corp", ca))
        await supervisor.make("c")
        cluster = await supervisor.cluster("c")
        assert await supervisor.trusted(cluster) == ["corp"]
        assert await _content(supervisor, cluster) == {"corp.pem": ca}

        await supervisor.play("c")
        await supervisor.tkc("c", lambda tkc: _is(tkc, TRUST_CURRENT, "True", "Created"))
        await _told(supervisor, "c", "Created")


async def test_p1_a_later_change_starts_nothing_and_is_reported(supervisor: Supervisor) -> None:
    a, b = entry("a", make_ca("a")), entry("b", make_ca("b"))
    async with supervisor.running():
        await supervisor.configure(a)
        await supervisor.make("old")
        before = await supervisor.trusting("old", "a")
        await supervisor.play("old")
        await supervisor.tkc("old", lambda tkc: _is(tkc, TRUST_CURRENT, "True"))

        await supervisor.configure(a, b)
        held = await supervisor.tkc("old", lambda tkc: _is(tkc, TRUST_CURRENT, "False", "Held"))
        assert "add b (" in _message(held, TRUST_CURRENT)
        assert f"trustplane update old --namespace {supervisor.namespace}" in _message(held, TRUST_CURRENT)
        after = await supervisor.cluster("old")
        assert (after.metadata.generation, secret_name(after)) == (before.metadata.generation, secret_name(before))

        await supervisor.make("new")
        await supervisor.trusting("new", "a", "b")


async def test_p2_a_request_takes_the_current_trust_once(supervisor: Supervisor) -> None:
    a, b = entry("a", make_ca("a")), entry("b", make_ca("b"))
    async with supervisor.running():
        await supervisor.configure(a)
        await supervisor.make("c")
        await supervisor.trusting("c", "a")
        await supervisor.configure(a, b)
        await supervisor.tkc("c", lambda tkc: _is(tkc, TRUST_CURRENT, "False", "Held"))

        await supervisor.annotate("c", update_requested_at=datetime.now(UTC).isoformat())
        await supervisor.trusting("c", "a", "b")
        await _told(supervisor, "c", "Created", "Requested")

        await supervisor.configure(b)
        await supervisor.tkc("c", lambda tkc: "remove a (" in _message(tkc, TRUST_CURRENT))
        assert await supervisor.trusted(await supervisor.cluster("c")) == ["a", "b"]


async def test_p2_a_request_for_the_future_is_handled_then(supervisor: Supervisor) -> None:
    a, b = entry("a", make_ca("a")), entry("b", make_ca("b"))
    async with supervisor.running():
        await supervisor.configure(a)
        await supervisor.make("c")
        await supervisor.trusting("c", "a")
        await supervisor.configure(b)
        due = datetime.now(UTC) + timedelta(seconds=2)
        await supervisor.annotate("c", update_requested_at=due.isoformat())
        await supervisor.trusting("c", "b")
        assert datetime.now(UTC) >= due


async def test_p2_automatic_follows_every_change(supervisor: Supervisor) -> None:
    async with supervisor.running():
        await supervisor.configure()
        await supervisor.make("c")
        await supervisor.cluster("c")
        await supervisor.annotate("c", propagation="Automatic")
        for name in ("a", "b"):
            await supervisor.configure(entry(name, make_ca(name)))
            await supervisor.trusting("c", name)


async def test_p3_the_first_customisation_reaches_existing_clusters_once(supervisor: Supervisor) -> None:
    a, b = entry("a", make_ca("a")), entry("b", make_ca("b"))
    async with supervisor.running():
        await supervisor.make("c")
        assert await supervisor.trusted(await supervisor.cluster("c")) == []
        await supervisor.configure(a)
        await supervisor.trusting("c", "a")
        await _told(supervisor, "c", "Created", "FirstCustomisation")

        await supervisor.configure(a, b)
        await supervisor.tkc("c", lambda tkc: _is(tkc, TRUST_CURRENT, "False", "Held"))

    async with supervisor.running():
        # The label reaches the Cluster: the new controllers have reconciled it.
        await supervisor.label("c", "seen", "again")
        cluster = await supervisor.cluster("c", lambda found: found.metadata.labels.get("seen") == "again")
        assert await supervisor.trusted(cluster) == ["a"]
        await _told(supervisor, "c", "Created", "FirstCustomisation")


async def test_p3_happens_once_in_the_life_of_the_configuration(supervisor: Supervisor) -> None:
    a, b = entry("a", make_ca("a")), entry("b", make_ca("b"))
    async with supervisor.running():
        await supervisor.make("old")
        await supervisor.cluster("old")
        await supervisor.configure(a)
        await supervisor.trusting("old", "a")
        meant = {"name": NAME, "annotations": {ALLOW_REMOVAL: "true"}}
        stock = {"metadata": meant, "spec": {"defaultCNI": "antrea"}}
        await supervisor.client.apply(CONFIGURATIONS, stock, manager="user")
        held = await supervisor.tkc("old", lambda tkc: "remove a (" in _message(tkc, TRUST_CURRENT))
        assert "Take it now, which removes trust in a: `trustplane update old" in _message(held, TRUST_CURRENT)
    async with supervisor.running():
        await supervisor.make("later")
        assert await supervisor.trusted(await supervisor.cluster("later")) == []
        await supervisor.configure(b)
        await supervisor.tkc("old", lambda tkc: "add b (" in _message(tkc, TRUST_CURRENT))
        await supervisor.tkc("later", lambda tkc: _is(tkc, TRUST_CURRENT, "False", "Held"))
        assert await supervisor.trusted(await supervisor.cluster("old")) == ["a"]
        assert await supervisor.trusted(await supervisor.cluster("later")) == []
        await _told(supervisor, "old", "Created", "FirstCustomisation")
        await _told(supervisor, "later", "Created")


_VOLUMES = [{"name": "data", "mountPath": "/data", "capacity": {"storage": "4Gi"}}]


@pytest.mark.parametrize(
    "update",
    [
        {"release": "v1.36.4"},
        {"control_plane": {"vmClass": "guaranteed-large"}},
        {"control_plane": {"storageClass": "fast"}},
        {"pool": {"vmClass": "guaranteed-large"}},
        {"pool": {"storageClass": "fast"}},
        {"pool": {"failureDomain": "zone-b"}},
        {"pool": {"volumes": _VOLUMES}},
    ],
    ids=str,
)
async def test_p4_any_other_update_takes_the_current_trust_along(supervisor: Supervisor, update: Any) -> None:
    a, b = entry("a", make_ca("a")), entry("b", make_ca("b"))
    await supervisor.client.apply(RELEASES, release.release_body("v1.36.4"), manager="test")
    async with supervisor.running():
        await supervisor.configure(a)
        await supervisor.make("c")
        before = await supervisor.trusting("c", "a")
        await supervisor.configure(a, b)
        await supervisor.tkc("c", lambda tkc: _is(tkc, TRUST_CURRENT, "False", "Held"))

        await supervisor.make("c", **update)
        taken = await supervisor.trusting("c", "a", "b")
        await supervisor.boot_set("c", taken.metadata.annotations[TRUST_DIGEST])
        if update != {"pool": {"volumes": _VOLUMES}}:  # of which the Cluster contains nothing
            # One change of the Cluster causes one rollout.
            await supervisor.cluster("c", lambda found: found.metadata.generation == before.metadata.generation + 1)
        await _told(supervisor, "c", "Created", "OtherUpdate")


@pytest.mark.parametrize("killed", [False, True], ids=["running", "manager-away-meanwhile"])
async def test_a_deletion_of_the_configuration_removes_no_trust_under_any_policy(
    supervisor: Supervisor, *, killed: bool
) -> None:
    a, b = entry("a", make_ca("a")), entry("b", make_ca("b"))
    await supervisor.client.apply(RELEASES, release.release_body("v1.36.4"), manager="test")
    names = ("automatic", "held", "merged")
    async with supervisor.running():
        await supervisor.configure(a, **{TRUST_MERGE: "Append"})
        for name in names:
            await supervisor.make(name, trust=[b] if name == "merged" else None)
            await supervisor.trusting(name, *(["a", "b"] if name == "merged" else ["a"]))
        for name in ("automatic", "merged"):
            await supervisor.annotate(name, propagation="Automatic")
        if not killed:
            await _delete_configuration(supervisor)
    if killed:
        await supervisor.client.delete(CONFIGURATIONS, NAME)
    async with supervisor.running():
        stock = await until(supervisor.client, CONFIGURATIONS, NAME, "", _is_kept)
        assert stock.spec.trust is None
        valid = condition(stock.status.conditions, TRUST_VALID)
        assert valid is not None
        assert "last good list stays in use: a (" in valid.message

        await supervisor.make("new")
        await supervisor.trusting("new", "a")
        for name in names:
            await supervisor.annotate(name, update_requested_at=datetime.now(UTC).isoformat())
            await supervisor.make(name, release="v1.36.4", trust=[b] if name == "merged" else None)
            updated = await supervisor.cluster(name, lambda one: one.spec.topology.version == "v1.36.4")
            assert await supervisor.trusted(updated) == (["a", "b"] if name == "merged" else ["a"])
            seen = await supervisor.tkc(name, lambda tkc: _is(tkc, TRUST_VALID, "True", "Warnings"))
            assert "list-left-out" not in _message(seen, TRUST_CURRENT)

        await supervisor.configure(b)
        await supervisor.trusting("automatic", "b")


async def _delete_configuration(supervisor: Supervisor) -> None:
    before = await supervisor.client.get(CONFIGURATIONS, NAME)
    await supervisor.client.delete(CONFIGURATIONS, NAME)
    await until(supervisor.client, CONFIGURATIONS, NAME, "", lambda found: found.metadata.uid != before.metadata.uid)


def _is_kept(found: TkgServiceConfiguration) -> bool:
    valid = condition(found.status.conditions, TRUST_VALID)
    return valid is not None and "is missing" in valid.message


async def test_only_a_permission_removes_the_rest_of_a_deletion(supervisor: Supervisor) -> None:
    async with supervisor.running():
        await supervisor.configure(entry("a", make_ca("a")))
        await supervisor.make("c")
        await supervisor.trusting("c", "a")
        await supervisor.play("c")
        await supervisor.annotate("c", propagation="Automatic")
        await _delete_configuration(supervisor)
        await supervisor.tkc("c", lambda tkc: "last good list stays" in _message(tkc, TRUST_CURRENT))

        permission = {"metadata": {"annotations": {ALLOW_REMOVAL: "true"}}}
        await supervisor.client.patch(CONFIGURATIONS, NAME, "", permission)
        await supervisor.trusting("c")
        await supervisor.client.patch(CONFIGURATIONS, NAME, "", {"metadata": {"annotations": {ALLOW_REMOVAL: None}}})
        await supervisor.make("new")
        assert await supervisor.trusted(await supervisor.cluster("new")) == []


async def test_p8_new_machines_get_the_trust_of_their_cluster(supervisor: Supervisor) -> None:
    a, b = entry("a", make_ca("a")), entry("b", make_ca("b"))
    async with supervisor.running(), supervisor.following("c"):
        await supervisor.configure(a)
        await supervisor.make("c")
        before = await supervisor.trusting("c", "a")
        await supervisor.tkc("c", lambda tkc: _is(tkc, TRUST_CURRENT, "True"))
        await supervisor.configure(a, b)
        await supervisor.tkc("c", lambda tkc: _is(tkc, TRUST_CURRENT, "False", "Held"))

        await supervisor.make("c", pool={"replicas": 3})
        scaled = await supervisor.cluster("c", lambda found: found.metadata.generation > before.metadata.generation)
        assert secret_name(scaled) == secret_name(before)
        assert await _content(supervisor, scaled)
        await _told(supervisor, "c", "Created")


async def test_p5_and_p7_content_counts_and_encoding_does_not(supervisor: Supervisor) -> None:
    first, second = make_ca("first"), make_ca("second")
    async with supervisor.running():
        await supervisor.make("c", trust=[entry("own", first)])
        before = await supervisor.trusting("c", "own")

        await supervisor.make("c", trust=[entry("own", "a comment\r\n" + first.replace("\n", "\r\n"))])
        await supervisor.label("c", "seen", "crlf")
        same = await supervisor.cluster("c", lambda found: found.metadata.labels.get("seen") == "crlf")
        assert secret_name(same) == secret_name(before)
        assert same.metadata.generation == before.metadata.generation

        await supervisor.make("c", trust=[entry("own", second)])
        after = await supervisor.cluster("c", lambda found: secret_name(found) != secret_name(before))
        assert await _content(supervisor, after) == {"own.pem": second}
        await _told(supervisor, "c", "Created", "OwnTrustChanged")


async def test_p5_an_own_list_replaces_the_services_and_an_empty_one_trusts_none(supervisor: Supervisor) -> None:
    async with supervisor.running():
        await supervisor.configure(entry("service", make_ca("service")))
        await supervisor.make("c", trust=[entry("own", make_ca("own"))])
        await supervisor.trusting("c", "own")
        await supervisor.annotate("c", trust_merge="Append")
        await supervisor.make("c", trust=[entry("own", make_ca("other"))])
        await supervisor.trusting("c", "own", "service")
        await supervisor.make("c", trust=[])
        await supervisor.annotate("c", trust_merge="Override", update_requested_at=datetime.now(UTC).isoformat())
        await supervisor.trusting("c")


async def test_p10_a_broken_list_changes_nothing(supervisor: Supervisor) -> None:
    good = entry("good", make_ca("good"))
    async with supervisor.running():
        await supervisor.configure(good)
        await supervisor.make("old", trust=None)
        before = await supervisor.trusting("old", "good")
        await until(
            supervisor.client,
            CONFIGURATIONS,
            NAME,
            "",
            lambda found: condition(found.status.conditions, TRUST_VALID) is not None,
        )
        await supervisor.configure(entry("bad", "no certificate"))
        broken = await supervisor.tkc("old", lambda tkc: _is(tkc, TRUST_VALID, "False"))
        message = _message(broken, TRUST_VALID)
        assert "additionalTrustedCAs[0] (bad)" in message

        await supervisor.annotate("old", update_requested_at=datetime.now(UTC).isoformat())
        await supervisor.make("new")
        await supervisor.trusting("new", "good")
        assert secret_name(await supervisor.cluster("old")) == secret_name(before)

        mended = entry("mended", make_ca("mended"))
        await supervisor.configure(mended)
        await supervisor.trusting("old", "mended")


async def test_p10_a_new_cluster_with_a_broken_own_list_is_not_created(supervisor: Supervisor) -> None:
    async with supervisor.running():
        await supervisor.make("c", trust=[entry("bad", "no certificate")])
        await supervisor.tkc("c", lambda tkc: _is(tkc, TRUST_VALID, "False"))
        assert await supervisor.client.find(CLUSTERS, "c", supervisor.namespace) is None
        await supervisor.make("c", trust=[entry("good", make_ca("good"))])
        await supervisor.trusting("c", "good")


async def test_secrets_of_former_sets_are_deleted_except_the_last_few(supervisor: Supervisor) -> None:
    client, namespace = supervisor.client, supervisor.namespace
    async with supervisor.running():
        await supervisor.make("c", trust=[])
        await supervisor.annotate("c", update_strategy="Replace")
        await supervisor.trusting("c")
        async with supervisor.following("c"):
            for number in range(KEPT_SETS + 2):
                await supervisor.make("c", trust=[entry(f"own-{number}", make_ca("own"))])
                cluster = await supervisor.trusting("c", f"own-{number}")
                # The Secret of a set on a machine stays, as do the last ones, for undo.
                await supervisor.tkc("c", lambda tkc: _is(tkc, TRUST_CURRENT, "True", "OwnTrustChanged"))
            async with asyncio.timeout(30):
                while len(kept := await client.list(SECRETS, namespace, labels=_SETS)) != KEPT_SETS + 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
    assert secret_name(cluster) in {one.metadata.name for one in kept}


_SETS = f"{COMPONENT_LABEL}={TRUST_COMPONENT}"


async def test_current_is_reported_only_when_every_machine_has_the_set(supervisor: Supervisor) -> None:
    async with supervisor.running():
        await supervisor.configure(entry("a", make_ca("a")))
        await supervisor.make("c")
        await supervisor.annotate("c", update_strategy="Replace")
        await supervisor.trusting("c", "a")
        async with supervisor.following("c"):
            await supervisor.tkc("c", lambda tkc: _is(tkc, TRUST_CURRENT, "True", "Created"))
            await until(supervisor.client, MACHINES, "c-np-1", supervisor.namespace, lambda _: True)
        await supervisor.configure(entry("b", make_ca("b")))
        await supervisor.annotate("c", update_requested_at=datetime.now(UTC).isoformat())
        await supervisor.trusting("c", "b")
        await supervisor.tkc("c", lambda tkc: _is(tkc, TRUST_CURRENT, "False", "Updating"))
        await supervisor.remake("c-cp-0", "c")
        await supervisor.remake("c-np-0", "c")
        held = await supervisor.tkc("c", lambda tkc: "1 of 3 nodes do not have the set" in _message(tkc, TRUST_CURRENT))
        assert _is(held, TRUST_CURRENT, "False", "Updating")
        await supervisor.remake("c-np-1", "c")
        await supervisor.tkc("c", lambda tkc: _is(tkc, TRUST_CURRENT, "True", "Requested"))
