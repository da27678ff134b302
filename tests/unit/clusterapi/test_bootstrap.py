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
        ).map(lambda paths: [{"path": one, "content": "theirs"} for one in paths]),
        "preKubeadmCommands": st.lists(st.sampled_from(["true", "echo", UNPACK_COMMAND])),
        "users": st.lists(st.sampled_from(["ops", bootstrap.NODE_USER]), unique=True).map(
            lambda names: [{"name": one} for one in names]
        ),
        "format": st.just("ignition"),
    },
)


def test_what_a_machine_boots_with() -> None:
    made = add_trust({"files": [OTHER], "preKubeadmCommands": ["modprobe x"]}, "shop")
    assert made["files"][:2] == [
        OTHER,
        {
            "path": "/etc/trustplane/trust.pem",
            "owner": "root:root",
            "permissions": "0644",
            "contentFrom": {"secret": {"name": "shop-trust", "key": "bundle.pem"}},
        },
    ]
    script = made["files"][2]
    assert (script["path"], script["owner"], script["permissions"]) == (
        "/etc/trustplane/unpack.sh",
        "root:root",
        "0755",
    )
    assert made["preKubeadmCommands"] == ["sh /etc/trustplane/unpack.sh", "modprobe x"]


def test_the_script_fits_cluster_api_and_survives_jinja() -> None:
    content = bootstrap.unpack_file()["content"]
    assert content.startswith("# Trustplane: ")  # by `sh`, see COMMAND
    assert len(content) <= 10_240
    assert not [one for one in ("{{", "{%", "{#") if one in content]


@given(specs)
def test_setting_up_again_changes_nothing_and_takes_nothing_away(spec: Json) -> None:
    before = copy.deepcopy(spec)
    made = add_trust(spec, "shop")
    assert spec == before
    assert add_trust(made, "shop") == made
    assert trust_secret_name(made) == "shop-trust"
    assert made["preKubeadmCommands"][0] == UNPACK_COMMAND
    assert made["preKubeadmCommands"].count(UNPACK_COMMAND) == 1
    assert made["preKubeadmCommands"][1:] == [
        one for one in spec.get("preKubeadmCommands", []) if one != UNPACK_COMMAND
    ]
    paths = [one["path"] for one in made["files"]]
    assert len(set(paths)) == len(paths)
    assert [one for one in made["files"] if one.get("content") == "theirs"] == [
        one for one in spec.get("files", []) if not one["path"].startswith("/etc/trustplane")
    ]
    assert {**made, "files": 0, "preKubeadmCommands": 0} == {**spec, "files": 0, "preKubeadmCommands": 0}


@given(specs)
def test_the_user_is_there_once(spec: Json) -> None:
    made = add_user(spec, "ssh-ed25519 AAAA")
    assert add_user(made, "ssh-ed25519 AAAA") == made
    assert [one for one in made["users"] if one["name"] == bootstrap.NODE_USER] == [node_user("ssh-ed25519 AAAA")]
    assert len(made["users"]) == len({"", *(one["name"] for one in spec.get("users", []))} | {bootstrap.NODE_USER}) - 1


def without(part: str, name: str) -> Json:
    made = add_trust({}, pages.CLUSTER)
    return made | {part: [one for one in made[part] if name not in str(one)]}


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
def test_what_is_not_whole_is_not_set_up(spec: Any) -> None:
    assert trust_secret_name(spec) is None


def test_a_plain_cluster_may_name_another_secret() -> None:
    made = add_trust({}, pages.CLUSTER)
    made["files"][0]["contentFrom"]["secret"]["name"] = "own"
    assert trust_secret_name(made) == "own"


def test_the_page_has_what_machines_boot_with() -> None:
    page = pages.PAGE.read_text()
    assert pages.written(page) == page, "run `make pages`"
    whole, placed = pages.blocks()
    assert page.count(f"```yaml\n{whole}```\n") == 1
    assert yaml.safe_load(whole) == add_trust({}, pages.CLUSTER)
    control_plane, worker = yaml.safe_load_all(placed)
    specs = (control_plane["spec"]["kubeadmConfigSpec"], worker["spec"]["template"]["spec"])
    assert [trust_secret_name(one) for one in specs] == [f"{pages.CLUSTER}-trust"] * 2
    assert specs[0]["preKubeadmCommands"] == [UNPACK_COMMAND, "echo yours"]
