"""Requests to a real API server, and its refusals."""

import dataclasses
import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from trustplane.errors import TransientError, UserError
from trustplane.kube.client import Client
from trustplane.kube.errors import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnavailableError,
    UnreadableError,
)
from trustplane.kube.kinds import CONFIG_MAPS, SECRETS
from trustplane.kube.resource import Resource


def config_map(namespace: str, name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "data": data}


async def test_create_read_patch_delete(client: Client, namespace: str) -> None:
    created = await client.create(CONFIG_MAPS, config_map(namespace, "a", x="1"))
    assert (created["kind"], created["data"]) == ("ConfigMap", {"x": "1"})
    with pytest.raises(AlreadyExistsError):
        await client.create(CONFIG_MAPS, config_map(namespace, "a"))

    await client.patch(CONFIG_MAPS, "a", namespace, {"data": {"y": "2"}})
    await client.patch(CONFIG_MAPS, "a", namespace, [{"op": "remove", "path": "/data/x"}])
    assert (await client.get(CONFIG_MAPS, "a", namespace))["data"] == {"y": "2"}

    await client.delete(CONFIG_MAPS, "a", namespace)
    await client.delete(CONFIG_MAPS, "a", namespace)
    assert await client.find(CONFIG_MAPS, "a", namespace) is None
    with pytest.raises(NotFoundError):
        await client.get(CONFIG_MAPS, "a", namespace)


async def test_items_of_a_list_say_what_they_are(client: Client, namespace: str) -> None:
    await client.create(CONFIG_MAPS, config_map(namespace, "a"))
    [found] = await client.list(CONFIG_MAPS, namespace)
    assert (found["apiVersion"], found["kind"]) == ("v1", "ConfigMap")


async def test_delete_of_one_very_object_spares_its_successor(client: Client, namespace: str) -> None:
    await client.create(CONFIG_MAPS, config_map(namespace, "a"))
    with pytest.raises(ConflictError):
        await client.delete(CONFIG_MAPS, "a", namespace, uid="00000000-0000-0000-0000-000000000000")
    assert await client.find(CONFIG_MAPS, "a", namespace)


async def test_apply_owns_fields_and_gives_them_up(client: Client, namespace: str) -> None:
    await client.apply(CONFIG_MAPS, config_map(namespace, "a", x="1", y="1"), manager="one")
    with pytest.raises(ConflictError, match='conflict with "one"'):
        await client.apply(CONFIG_MAPS, config_map(namespace, "a", x="2"), manager="two", force=False)
    await client.apply(CONFIG_MAPS, config_map(namespace, "a", x="2"), manager="two")
    await client.apply(CONFIG_MAPS, config_map(namespace, "a"), manager="one")
    assert (await client.get(CONFIG_MAPS, "a", namespace))["data"] == {"x": "2"}


async def test_a_patch_with_an_old_version_conflicts(client: Client, namespace: str) -> None:
    old = await client.create(CONFIG_MAPS, config_map(namespace, "a"))
    await client.patch(CONFIG_MAPS, "a", namespace, {"data": {"x": "1"}})
    version = old["metadata"]["resourceVersion"]
    with pytest.raises(ConflictError):
        await client.patch(CONFIG_MAPS, "a", namespace, {"metadata": {"resourceVersion": version}, "data": {"x": "2"}})


async def test_status_is_written_apart_from_spec(client: Client, namespace: str, widgets: Resource[Any]) -> None:
    metadata = {"name": "a", "namespace": namespace}
    await client.apply(widgets, {"metadata": metadata, "spec": {"size": 3}, "status": {"ready": True}}, manager="test")
    assert (await client.get(widgets, "a", namespace)).status == {}
    await client.apply(widgets, {"metadata": metadata, "status": {"ready": True}}, manager="test", subresource="status")
    await client.patch(widgets, "a", namespace, {"status": {"size": 3}}, subresource="status")
    found = await client.get(widgets, "a", namespace)
    assert (found.spec.size, found.status) == (3, {"ready": True, "size": 3})


async def test_a_list_of_many_pages_is_whole(client: Client, namespace: str) -> None:
    for index in range(7):
        await client.create(CONFIG_MAPS, config_map(namespace, f"a{index}"))
    pages = [page async for page in client.pages(CONFIG_MAPS, namespace, limit=3)]
    assert [len(page.items) for page in pages] == [3, 3, 1]
    assert len({page.version for page in pages}) == 1
    names = [json.loads(bytes(item))["metadata"]["name"] for page in pages for item in page.items]
    assert names == [f"a{index}" for index in range(7)]


async def test_selectors(client: Client, namespace: str) -> None:
    for name in ("a", "b"):
        metadata = {"name": name, "namespace": namespace, "labels": {"app": name}}
        await client.create(SECRETS, {"metadata": metadata})
    assert [one["metadata"]["name"] for one in await client.list(SECRETS, namespace, labels="app=b")] == ["b"]
    assert [one["metadata"]["name"] for one in await client.list(SECRETS, namespace, fields="metadata.name=a")] == ["a"]


async def test_a_refused_body_says_why(client: Client, namespace: str, widgets: Resource[Any]) -> None:
    body = {"metadata": {"name": "a", "namespace": namespace}, "spec": {"size": 1001}}
    with pytest.raises(InvalidError, match="should be less than or equal to 1000"):
        await client.create(widgets, body)


async def test_a_field_that_the_kind_lacks_is_a_refusal_not_an_outage(
    client: Client, namespace: str, widgets: Resource[Any]
) -> None:
    body = {"metadata": {"name": "a", "namespace": namespace}, "spec": {"weight": 1}}
    with pytest.raises(InvalidError, match=r"\.spec\.weight: field not declared in schema"):
        await client.apply(widgets, body, manager="test")


async def test_a_kind_that_is_not_served_is_not_an_absent_object(client: Client, namespace: str) -> None:
    gadgets: Resource[Any] = Resource("test.trustplane.dev", "v7", "Gadget", "gadgets", dict)
    with pytest.raises(UnavailableError):
        await client.find(gadgets, "a", namespace)
    with pytest.raises(UnavailableError):
        await client.delete(gadgets, "a", namespace)


async def test_an_object_of_another_shape_is_named(client: Client, namespace: str, widgets: Resource[Any]) -> None:
    body = {"metadata": {"name": "a", "namespace": namespace}, "spec": {"size": "big"}}
    await client.create(dataclasses.replace(widgets, type=dict), body)
    with pytest.raises(UnreadableError, match=r"Expected `int`, got `str` - at `\$.spec.size`"):
        await client.get(widgets, "a", namespace)


async def test_rights(apiserver: Any, namespace: str) -> None:
    async with Client.open(apiserver.visitor) as visitor:
        with pytest.raises(ForbiddenError, match='User "visitor" cannot list resource "secrets"'):
            await visitor.list(SECRETS, namespace)
    stranger = apiserver.visitor
    stranger["users"][0]["user"]["token"] = "unknown"
    async with Client.open(stranger) as client:
        with pytest.raises(ForbiddenError, match="Unauthorized"):
            await client.list(SECRETS, namespace)


async def test_several_servers_at_once(apiserver: Any, client: Client) -> None:
    async with Client.open(apiserver.visitor) as other:
        answers = [json.loads(await one.raw("GET", "/version"))["major"] for one in (client, other)]
    assert len(answers) == 2
    assert json.loads(await client.raw("GET", "/version"))


async def test_a_dead_server_is_a_transient_error(apiserver: Any, client: Client, namespace: str) -> None:
    apiserver.kill()
    with pytest.raises(UnavailableError, match=f"at {apiserver.url} got no response") as caught:
        await client.get(SECRETS, "a", namespace)
    assert isinstance(caught.value, TransientError)
    apiserver.start()
    assert await client.list(SECRETS, namespace) == []


async def test_a_hanging_server_is_a_transient_error(apiserver: Any) -> None:
    async with Client.open(apiserver.kubeconfig, timeout=2) as client:
        await client.raw("GET", "/version")
        apiserver.signal(signal.SIGSTOP)
        with pytest.raises(UnavailableError, match="the server was silent for 2 s"):
            await client.raw("GET", "/version")
        apiserver.kill()
        apiserver.start()
        await client.raw("GET", "/version")


async def test_kubeconfig_file_with_relative_names(apiserver: Any, tmp_path: Path, monkeypatch: Any) -> None:
    kubeconfig = apiserver.kubeconfig
    for holder, fields in (("clusters", ("certificate-authority",)), ("users", ("client-certificate", "client-key"))):
        entry = kubeconfig[holder][0]["cluster" if holder == "clusters" else "user"]
        for field in fields:
            shutil.copy(entry[field], tmp_path / field)
            entry[field] = field
    (tmp_path / "config").write_text(json.dumps(kubeconfig))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'absent'}:{tmp_path / 'config'}")
    for named in (None, tmp_path / "config"):
        async with Client.open(named) as client:
            assert await client.list(CONFIG_MAPS, "default") == []


async def test_a_plugins_token_is_renewed_when_it_expires(apiserver: Any, namespace: str, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    version = "client.authentication.k8s.io/v1"
    status = {"token": "visitor-token", "expirationTimestamp": "2020-01-01T00:00:00Z"}
    answer = json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})
    script = f"echo run >> {runs}; echo '{answer}'"
    kubeconfig = apiserver.visitor
    kubeconfig["users"][0]["user"] = {"exec": {"apiVersion": version, "command": "sh", "args": ["-c", script]}}
    async with Client.open(kubeconfig) as client:
        for _ in range(2):
            with pytest.raises(ForbiddenError, match='User "visitor"'):
                await client.list(SECRETS, namespace)
    assert runs.read_text().split() == ["run"] * 3


async def test_no_kubeconfig_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file") as caught:
        async with Client.open(tmp_path / "absent"):
            pass
    assert caught.value.next_step
