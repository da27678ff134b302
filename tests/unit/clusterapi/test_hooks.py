"""Requests as Cluster API sends them; patches are applied as RFC 7386 says."""

import base64
import copy
import json
import tomllib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.meta import Json
from trustplane.clusterapi.hooks import HOOKS, discover_variables, discovery, generate_patches, validate_topology

CLASS_FILE = {"path": "/etc/cni/net.d/10-local.conflist", "content": "{{ ds.meta_data.pod_subnet }}"}
CONTROL_PLANE: Json = {
    "apiVersion": "controlplane.cluster.x-k8s.io/v1beta2",
    "kind": "KubeadmControlPlaneTemplate",
    "spec": {"template": {"spec": {"kubeadmConfigSpec": {"files": [CLASS_FILE], "preKubeadmCommands": ["x"]}}}},
}
WORKER: Json = {
    "apiVersion": "bootstrap.cluster.x-k8s.io/v1beta2",
    "kind": "KubeadmConfigTemplate",
    "spec": {"template": {"spec": {"files": [CLASS_FILE]}}},
}
MACHINE: Json = {"apiVersion": "infrastructure.trustplane.dev/v1", "kind": "LocalMachineTemplate", "spec": {}}
TRUST: Json = {"secretName": "c1-trust-abc", "additionalTrustedCAs": [{"name": "corp"}, {"name": "a.b"}]}


def request(*templates: Json, trust: object = TRUST, **item: Any) -> Json:
    variables = [{"name": "builtin", "value": {"cluster": {"name": "c1", "namespace": "ns"}}}]
    if trust is not None:
        variables.append({"name": "trust", "value": trust})
    items = [{"uid": str(number), "object": template, **item} for number, template in enumerate(templates)]
    return {"variables": variables, "items": copy.deepcopy(items)}


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def patched(body: Json) -> list[Json]:
    """Send the request; return its templates with the patches applied."""
    response = generate_patches(body)
    assert response["status"] == "Success", response
    patches = {item["uid"]: item for item in response["items"]}
    assert all(item["patchType"] == "JSONMergePatch" for item in patches.values())
    return [
        merged(item["object"], json.loads(base64.b64decode(patches[item["uid"]]["patch"])))
        if item["uid"] in patches
        else item["object"]
        for item in body["items"]
    ]


def trust_file(name: str, source: str = "c1-trust-abc", key: str = "", **other: str) -> Json:
    return {
        "path": f"/etc/ssl/certs/tkg-{name}.pem",
        "owner": "root:root",
        "permissions": "0644",
        "contentFrom": {"secret": {"name": source, "key": key or f"{name}.pem"}},
        **other,
    }


def failure(response: Json) -> str:
    assert response["status"] == "Failure"
    message: str = response["message"]
    return message


def test_discovery_names_the_handlers() -> None:
    response = discovery({})
    assert (response["kind"], response["status"]) == ("DiscoveryResponse", "Success")
    assert {one["name"]: one["requestHook"]["hook"] for one in response["handlers"]} == {
        "discover-variables": "DiscoverVariables",
        "generate-patches": "GeneratePatches",
        "validate-topology": "ValidateTopology",
        "can-update-machine": "CanUpdateMachine",
        "can-update-machine-set": "CanUpdateMachineSet",
        "update-machine": "UpdateMachine",
    }
    assert {one["requestHook"]["apiVersion"] for one in response["handlers"]} == {
        "hooks.runtime.cluster.x-k8s.io/v1alpha1"
    }


def test_the_variable_is_defined() -> None:
    [variable] = discover_variables({})["variables"]
    assert (variable["name"], variable["required"]) == ("trust", False)
    assert variable["schema"]["openAPIV3Schema"]["required"] == ["additionalTrustedCAs"]


def test_files_are_appended_on_every_machine_and_nothing_else_changes() -> None:
    control_plane, worker, machine = patched(request(CONTROL_PLANE, WORKER, MACHINE))
    files = [CLASS_FILE, trust_file("corp"), trust_file("a.b")]
    assert control_plane["spec"]["template"]["spec"]["kubeadmConfigSpec"] == {
        "files": files,
        "preKubeadmCommands": ["x"],
    }
    assert worker["spec"]["template"]["spec"] == {"files": files}
    assert machine == MACHINE


@pytest.mark.parametrize("spec", [{}, {"template": {}}, {"template": {"spec": {}}}], ids=["spec", "template", "files"])
@pytest.mark.parametrize("template", [CONTROL_PLANE, WORKER], ids=["control-plane", "worker"])
def test_a_class_without_files_gets_them(template: Json, spec: Json) -> None:
    [found] = patched(request(template | {"spec": spec}))
    assert "tkg-corp.pem" in json.dumps(found)
    assert validate_topology(request(found))["status"] == "Success"


def test_a_second_call_changes_nothing() -> None:
    once = patched(request(CONTROL_PLANE, WORKER))
    assert generate_patches(request(*once))["items"] == []


def test_without_the_variable_nothing_is_patched() -> None:
    assert generate_patches(request(CONTROL_PLANE, trust=None))["items"] == []
    assert generate_patches(request(CONTROL_PLANE, trust={"additionalTrustedCAs": []}))["items"] == []


def test_a_pool_s_own_value_comes_before_the_cluster_s() -> None:
    own = {"secretName": "other", "additionalTrustedCAs": [{"name": "own"}]}
    [worker] = patched(request(WORKER, variables=[{"name": "trust", "value": own}]))
    assert worker["spec"]["template"]["spec"]["files"] == [CLASS_FILE, trust_file("own", "other")]


def test_the_older_version_of_templates_is_patched_too() -> None:
    [worker] = patched(request(WORKER | {"apiVersion": "bootstrap.cluster.x-k8s.io/v1beta1"}))
    assert trust_file("corp") in worker["spec"]["template"]["spec"]["files"]


def test_vsphere_8_s_form_names_the_user_s_secret() -> None:
    [worker] = patched(request(WORKER, trust={"additionalTrustedCAs": [{"name": "corp"}]}))
    assert worker["spec"]["template"]["spec"]["files"][1:] == [
        trust_file("corp", "c1-user-trusted-ca-secret", "corp", encoding="base64")
    ]


SCOPED: Json = {
    "secretName": "c1-trust-abc",
    "additionalTrustedCAs": [
        {"name": "corp"},
        {"name": "apps", "hosts": ["s.test:5000", "r.test"]},
        {"name": "more", "hosts": ["r.test"]},
    ],
}


def scoped_file(host: str, name: str) -> Json:
    return trust_file(name) | {"path": f"/etc/containerd/certs.d/{host}/tkg-{name}.pem"}


def test_entries_of_single_registries_are_files_of_theirs_and_of_no_whole_node() -> None:
    [worker] = patched(request(WORKER, trust=SCOPED))
    before, *cas, first, second = worker["spec"]["template"]["spec"]["files"]
    assert before == CLASS_FILE
    assert cas == [
        trust_file("corp"),
        scoped_file("r.test", "apps"),
        scoped_file("s.test:5000", "apps"),
        scoped_file("r.test", "more"),
    ]
    assert [one["path"] for one in (first, second)] == [
        "/etc/containerd/certs.d/r.test/hosts.toml",
        "/etc/containerd/certs.d/s.test:5000/hosts.toml",
    ]
    assert tomllib.loads(first["content"])["host"]["https://r.test"]["ca"] == [cas[1]["path"], cas[3]["path"]]
    assert tomllib.loads(second["content"])["host"]["https://s.test:5000"]["ca"] == [cas[2]["path"]]
    assert validate_topology(request(worker, trust=SCOPED))["status"] == "Success"
    assert generate_patches(request(worker, trust=SCOPED))["items"] == []


def test_a_hosts_toml_of_the_class_is_never_overwritten() -> None:
    taken = {"path": "/etc/containerd/certs.d/r.test/hosts.toml", "content": "mine"}
    template = WORKER | {"spec": {"template": {"spec": {"files": [taken]}}}}
    assert f"has another file {taken['path']}" in failure(generate_patches(request(template, trust=SCOPED)))


def test_vsphere_8_s_form_may_have_registries_too() -> None:
    listed = [{"name": "corp", "hosts": ["r.test"]}]
    [worker] = patched(request(WORKER, trust={"additionalTrustedCAs": listed}))
    file = worker["spec"]["template"]["spec"]["files"][1]
    assert file["path"] == "/etc/containerd/certs.d/r.test/tkg-corp.pem"
    assert file["contentFrom"]["secret"] == {"name": "c1-user-trusted-ca-secret", "key": "corp"}
    assert file["encoding"] == "base64"


@pytest.mark.parametrize(
    ("trust", "word"),
    [
        ({"additionalTrustedCAs": [{"name": "a", "hosts": "r.test"}]}, "an entry a with hosts that are none"),
        ({"additionalTrustedCAs": [{"name": "a", "hosts": [1]}]}, "an entry a with hosts that are none"),
        ({"additionalTrustedCAs": [{"name": "a", "hosts": ["../x"]}]}, "an entry a with hosts that are none"),
        ("x", "no list additionalTrustedCAs"),
        ({}, "no list additionalTrustedCAs"),
        ({"additionalTrustedCAs": ["x"]}, "no list additionalTrustedCAs of objects"),
        ({"additionalTrustedCAs": [{}]}, "a name that is no string"),
        ({"additionalTrustedCAs": [{"name": "../x"}]}, "'../x'"),
        ({"additionalTrustedCAs": [{"name": "a"}, {"name": "a"}]}, "two entries named a"),
        ({"secretName": 1, "additionalTrustedCAs": []}, "secretName"),
    ],
)
def test_a_bad_value_is_a_failure_with_a_message(trust: object, word: str) -> None:
    assert word in failure(generate_patches(request(WORKER, trust=trust)))
    assert word in failure(validate_topology(request(WORKER, trust=trust)))


def test_a_file_of_the_class_is_never_overwritten() -> None:
    taken = {"path": "/etc/ssl/certs/tkg-corp.pem", "content": "mine"}
    template = WORKER | {"spec": {"template": {"spec": {"files": [taken]}}}}
    assert "has another file /etc/ssl/certs/tkg-corp.pem" in failure(generate_patches(request(template)))


def test_more_files_than_cluster_api_takes_are_a_failure() -> None:
    def with_files(count: int) -> Json:
        return WORKER | {"spec": {"template": {"spec": {"files": [{"path": f"/{n}"} for n in range(count)]}}}}

    assert generate_patches(request(with_files(198)))["status"] == "Success"
    assert "would have 201 files" in failure(generate_patches(request(with_files(199))))


def test_validation_sees_what_another_patch_did() -> None:
    [template] = patched(request(WORKER))
    assert validate_topology(request(template))["status"] == "Success"
    files = template["spec"]["template"]["spec"]["files"]
    for bad in (files[:-1], [*files, files[-1]], [*files[:-1], files[-1] | {"permissions": "0600"}]):
        broken = WORKER | {"spec": {"template": {"spec": {"files": bad}}}}
        assert "tkg-a.b.pem" in failure(validate_topology(request(broken)))


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
FIELDS = ["variables", "items", "object", "uid", "name", "value", "kind", "apiVersion", "spec", "template", "files"]


@given(
    st.sampled_from(sorted(HOOKS)),
    st.dictionaries(st.sampled_from(FIELDS), JUNK, max_size=4),
    st.sampled_from([CONTROL_PLANE, WORKER]),
    st.lists(st.dictionaries(st.sampled_from(FIELDS), JUNK), max_size=3),
)
def test_any_request_gets_a_response(hook: str, junk: Json, template: Json, items: list[Json]) -> None:
    broken = request(template | {"spec": junk.get("spec")}, trust=junk.get("value"))
    for body in (junk, {"items": items}, broken, request(template) | junk):
        response = HOOKS[hook](body)
        assert response["status"] in {"Success", "Failure"}
        assert msgspec.json.encode(HOOKS[hook](body)) == msgspec.json.encode(response)


def _built_in(body: Json, replicas: int, **annotations: str) -> Json:
    """Say what is built in as Cluster API does: of the cluster once, of the control plane with its template."""
    cluster = {"name": "c1", "metadata": {"annotations": annotations}}
    body["variables"][0]["value"] = {"cluster": cluster}
    control_plane = {"name": "builtin", "value": {"controlPlane": {"replicas": replicas}}}
    for item in body["items"]:
        item["variables"] = [control_plane]
    return body


@pytest.mark.parametrize("trust", [TRUST, None])
def test_a_control_plane_of_three_goes_without_a_fourth_while_trust_changes_in_place(trust: object) -> None:
    body = _built_in(request(CONTROL_PLANE, WORKER, trust=trust), 3, **{"trustplane.dev/rollout": "InPlace"})
    control_plane, worker = patched(body)
    assert control_plane["spec"]["template"]["spec"]["rollout"] == {
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0}}
    }
    assert "rollout" not in worker["spec"]["template"]["spec"]


@pytest.mark.parametrize(("replicas", "how"), [(1, "InPlace"), (3, "Replace"), (3, "")])
def test_otherwise_a_control_plane_keeps_its_strategy(replicas: int, how: str) -> None:
    (control_plane,) = patched(_built_in(request(CONTROL_PLANE), replicas, **{"trustplane.dev/rollout": how}))
    assert "rollout" not in control_plane["spec"]["template"]["spec"]


def test_the_users_secret_is_found_for_templates_with_variables_of_their_own() -> None:
    body = _built_in(request(CONTROL_PLANE, trust={"additionalTrustedCAs": [{"name": "corp"}]}), 1)
    (control_plane,) = patched(body)
    file = control_plane["spec"]["template"]["spec"]["kubeadmConfigSpec"]["files"][-1]
    assert file["contentFrom"]["secret"]["name"] == "c1-user-trusted-ca-secret"
