import copy
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from assets import pages
from trustplane.api.meta import Json
from trustplane.clusterapi import bootstrap
from trustplane.clusterapi.bootstrap import UNPACK_COMMAND, add_trust, add_user, node_user, trust_secret_name

OTHER = {"path": "/etc/other", "content": "x"}
specs = st.fixed_dictionaries(
    {},
    optional={
        "files": st.lists(
            st.sampled_from(["/etc/a", "/etc/b", bootstrap.BUNDLE_FILE, bootstrap.UNPACK_FILE]), unique=True
        ).map(lambda paths: [{"path": path, "content": "existing"} for path in paths]),
        "preKubeadmCommands": st.lists(st.sampled_from(["true", "echo", UNPACK_COMMAND])),
        "users": st.lists(st.sampled_from(["ops", bootstrap.NODE_USER]), unique=True).map(
            lambda names: [{"name": name} for name in names]
        ),
        "format": st.just("ignition"),
    },
)


def test_a_machine_boots_with_two_files_and_a_first_command() -> None:
    result = add_trust({"files": [OTHER], "preKubeadmCommands": ["modprobe x"]}, "shop")
    assert result["files"][:2] == [
        OTHER,
        {
            "path": "/etc/trustplane/trust.pem",
            "owner": "root:root",
            "permissions": "0644",
            "contentFrom": {"secret": {"name": "shop-trust", "key": "bundle.pem"}},
        },
    ]
    script = result["files"][2]
    assert (script["path"], script["owner"], script["permissions"]) == (
        "/etc/trustplane/unpack.sh",
        "root:root",
        "0755",
    )
    assert result["preKubeadmCommands"] == ["sh /etc/trustplane/unpack.sh", "modprobe x"]


def test_the_script_fits_cluster_api_and_survives_jinja() -> None:
    content = bootstrap.unpack_file()["content"]
    assert content.startswith("# Trustplane: ")  # run by `sh`, see COMMAND
    assert len(content) <= 10_240
    assert not [marker for marker in ("{{", "{%", "{#") if marker in content]


@given(specs)
def test_the_setup_is_idempotent_and_removes_nothing(spec: Json) -> None:
    before = copy.deepcopy(spec)
    result = add_trust(spec, "shop")
    assert spec == before
    assert add_trust(result, "shop") == result
    assert trust_secret_name(result) == "shop-trust"
    assert result["preKubeadmCommands"][0] == UNPACK_COMMAND
    assert result["preKubeadmCommands"].count(UNPACK_COMMAND) == 1
    assert result["preKubeadmCommands"][1:] == [
        command for command in spec.get("preKubeadmCommands", []) if command != UNPACK_COMMAND
    ]
    paths = [file["path"] for file in result["files"]]
    assert len(set(paths)) == len(paths)
    assert [file for file in result["files"] if file.get("content") == "existing"] == [
        file for file in spec.get("files", []) if not file["path"].startswith("/etc/trustplane")
    ]
    assert {**result, "files": 0, "preKubeadmCommands": 0} == {**spec, "files": 0, "preKubeadmCommands": 0}


@given(specs)
def test_the_user_is_added_once(spec: Json) -> None:
    result = add_user(spec, "ssh-ed25519 AAAA")
    assert add_user(result, "ssh-ed25519 AAAA") == result
    assert [entry for entry in result["users"] if entry["name"] == bootstrap.NODE_USER] == [
        node_user("ssh-ed25519 AAAA")
    ]
    assert (
        len(result["users"])
        == len({"", *(entry["name"] for entry in spec.get("users", []))} | {bootstrap.NODE_USER}) - 1
    )


def without(part: str, name: str) -> Json:
    result = add_trust({}, pages.CLUSTER)
    return result | {part: [item for item in result[part] if name not in str(item)]}


@pytest.mark.parametrize(
    "spec",
    [
        None,
        [],
        {},
        {"files": None, "preKubeadmCommands": "sh"},
        {"files": ["x", 7, {"path": []}], "preKubeadmCommands": [UNPACK_COMMAND]},
        without("files", "trust.pem"),
        without("files", "unpack.sh"),
        without("preKubeadmCommands", "unpack.sh"),
        add_trust({}, "shop") | {"files": [{"path": bootstrap.BUNDLE_FILE, "content": "x"}, bootstrap.unpack_file()]},
    ],
)
def test_an_incomplete_setup_is_none(spec: Any) -> None:
    assert trust_secret_name(spec) is None


def test_a_cluster_without_a_class_may_name_another_secret() -> None:
    result = add_trust({}, pages.CLUSTER)
    result["files"][0]["contentFrom"]["secret"]["name"] = "own"
    assert trust_secret_name(result) == "own"


def test_the_page_has_the_current_bootstrap() -> None:
    page = pages.PAGE.read_text()
    assert pages.written(page) == page, "run `make pages`"
    whole, placed = pages.blocks()
    assert page.count(f"```yaml\n{whole}```\n") == 1
    assert yaml.safe_load(whole) == add_trust({}, pages.CLUSTER)
    control_plane, worker = yaml.safe_load_all(placed)
    specs = (control_plane["spec"]["kubeadmConfigSpec"], worker["spec"]["template"]["spec"])
    assert [trust_secret_name(spec) for spec in specs] == [f"{pages.CLUSTER}-trust"] * 2
    assert specs[0]["preKubeadmCommands"] == [UNPACK_COMMAND, "echo yours"]
