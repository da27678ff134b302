import base64
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.clusterapi import inplace
from trustplane.trust.places import toml

Json = dict[str, Any]
OTHER = {"path": "/etc/motd", "content": "hello"}
SETS = {"machine": "machineSet", "infrastructureMachine": "infrastructureMachineTemplate"}
SETS |= {"bootstrapConfig": "bootstrapConfigTemplate"}


def ours(name: str, digest: str = "a") -> Json:
    source = {"secret": {"name": f"c1-trust-{digest}", "key": f"{name}.pem"}}
    path = f"/etc/ssl/certs/tkg-{name}.pem"
    return {"path": path, "owner": "root:root", "permissions": "0644", "contentFrom": source}


def objects(files: list[Json] | None) -> Json:
    spec: Json = {"format": "cloud-config", "joinConfiguration": {"nodeRegistration": {"name": "x"}}}
    return {
        "machine": {
            "kind": "Machine",
            "metadata": {"name": "m", "namespace": "ns"},
            "spec": {"clusterName": "c1", "version": "v1.36.3", "failureDomain": "z1"},
        },
        "infrastructureMachine": {"kind": "LocalMachine", "metadata": {"name": "m"}, "spec": {"size": "small"}},
        "bootstrapConfig": {
            "kind": "KubeadmConfig",
            "metadata": {"name": "m"},
            "spec": spec if files is None else spec | {"files": files},
        },
    }


def as_set(machine_objects: Json) -> Json:
    """The same, as a CanUpdateMachineSetRequest has it."""
    made = {}
    for name, one in machine_objects.items():
        kind = one["kind"] + ("Set" if name == "machine" else "Template")
        template = {"metadata": {}, "spec": one["spec"]}
        made[SETS[name]] = {"kind": kind, "metadata": one["metadata"], "spec": {"template": template}}
    return made


def patch(answer: Json, name: str) -> Any:
    assert answer["status"] == "Success"
    found = answer.get(name)
    return found and json.loads(base64.b64decode(found["patch"]))


def both(current: Json, desired: Json) -> tuple[Any, Any]:
    """The files of the patches of both hooks, None for none."""
    one = patch(inplace.can_update_machine({"current": current, "desired": desired}), "bootstrapConfigPatch")
    request = {"current": as_set(current), "desired": as_set(desired)}
    many = patch(inplace.can_update_machine_set(request), "bootstrapConfigTemplatePatch")
    return one and one["spec"], many and many["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([OTHER], [OTHER, ours("a")]),
        ([OTHER, ours("a")], [OTHER]),
        ([OTHER, ours("a")], [OTHER, ours("a", "b"), ours("b", "b")]),
        ([ours("a"), OTHER], [OTHER, ours("a")]),
        (None, [ours("a")]),
        ([ours("a")], None),
        ([ours("a")], []),
    ],
)
def test_a_change_of_trust_files_alone_is_covered_by_a_patch_of_the_files(
    before: list[Json] | None, after: list[Json] | None
) -> None:
    wanted = {"files": after}
    assert both(objects(before), objects(after)) == (wanted, wanted)


def changed(path: str, value: Any) -> Json:
    made = objects([OTHER, ours("b")])
    *steps, last = path.split(".")
    node = made
    for step in steps:
        node = node.setdefault(step, {})
    node[last] = value
    return made


@pytest.mark.parametrize(
    "desired",
    [
        changed("machine.spec.version", "v1.36.4"),
        changed("machine.spec.failureDomain", "z2"),
        changed("infrastructureMachine.spec.size", "large"),
        changed("bootstrapConfig.spec.joinConfiguration.nodeRegistration.name", "y"),
        changed("bootstrapConfig.spec.preKubeadmCommands", ["true"]),
        changed("bootstrapConfig.spec.files", [ours("b")]),
        changed("bootstrapConfig.spec.files", [OTHER | {"content": "bye"}, ours("b")]),
        changed("bootstrapConfig.spec.files", [OTHER, ours("b"), ours("b")]),
        changed("bootstrapConfig.spec.files", [OTHER, ours("b") | {"append": True}]),
        changed("bootstrapConfig.spec.files", [OTHER, ours("b") | {"permissions": "0600"}]),
        changed("bootstrapConfig.spec.files", [OTHER, ours("b") | {"contentFormat": "Template"}]),
        changed("bootstrapConfig.spec.files", [OTHER, ours("../../x")]),
        changed("machine.metadata.annotations", {"trustplane.dev/update-strategy": "Replace"}),
        changed("infrastructureMachine.metadata.annotations", {"trustplane.dev/update-strategy": "Replace"}),
        changed("bootstrapConfig.metadata.annotations", {"trustplane.dev/update-strategy": "Replace"}),
    ],
)
def test_anything_else_in_the_same_change_gets_no_patch(desired: Json) -> None:
    assert both(objects([OTHER, ours("a")]), desired) == (None, None)


CERTS_D = "/etc/containerd/certs.d/r.test:5000"


def of_registry(digest: str = "a", *names: str) -> list[Json]:
    cas = [ours(name, digest) | {"path": f"{CERTS_D}/tkg-{name}.pem"} for name in names]
    return [*cas, inline(toml("r.test:5000", names))]


def inline(content: str) -> Json:
    return {"path": f"{CERTS_D}/hosts.toml", "owner": "root:root", "permissions": "0644", "content": content}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([OTHER], [OTHER, *of_registry("a", "x")]),
        ([OTHER, ours("x")], [OTHER, *of_registry("b", "x")]),
        ([OTHER, *of_registry("a", "x")], [OTHER, ours("x", "b")]),
        ([OTHER, *of_registry("a", "x", "y")], [*of_registry("b", "y"), OTHER]),
    ],
)
def test_a_change_of_registries_is_made_in_place(before: list[Json], after: list[Json]) -> None:
    wanted = {"files": after}
    assert both(objects(before), objects(after)) == (wanted, wanted)


@pytest.mark.parametrize(
    "theirs",
    [
        inline('server = "https://r.test:5000"\n'),
        inline(toml("r.test:5000", ["x"])) | {"append": True},
        inline(toml("r.test:5000", ["x"])) | {"path": "/etc/containerd/certs.d/_default/hosts.toml"},
        inline(toml("r.test:5000", ["x"])) | {"permissions": "0600"},
        ours("x") | {"path": f"{CERTS_D}/hosts.toml"},
        ours("x") | {"path": f"{CERTS_D}/ca.crt"},
    ],
)
def test_other_files_of_certs_d_are_not_ours(theirs: Json) -> None:
    assert both(objects([ours("a")]), objects([ours("a"), theirs])) == (None, None)


def test_an_annotation_of_the_machines_template_asks_for_replacement() -> None:
    desired = as_set(objects([ours("a")]))
    desired["machineSet"]["spec"]["template"]["metadata"]["annotations"] = {"trustplane.dev/update-strategy": "Replace"}
    decision = inplace.decide_machine_set(as_set(objects([])), desired)
    assert not decision.in_place
    assert "update-strategy" in decision.reason


@pytest.mark.parametrize(
    "desired",
    [
        changed("machine.spec.providerID", "local://x"),
        changed("machine.spec.bootstrap", {"dataSecretName": "x"}),
        changed("machine.spec.deletion", {"nodeDrainTimeoutSeconds": 10}),
        changed("machine.spec.taints", [{"key": "x"}]),
        changed("machine.metadata.annotations", {"trustplane.dev/update-strategy": "InPlace"}),
        changed("machine.metadata.labels", {"a": "b"}),
    ],
)
def test_what_cluster_api_itself_ignores_does_not_hinder(desired: Json) -> None:
    one, _ = both(objects([OTHER, ours("a")]), desired)
    assert one == {"files": [OTHER, ours("b")]}


@pytest.mark.parametrize("kind", ["TalosConfig", ""])
def test_another_bootstrap_provider_is_replaced(kind: str) -> None:
    current, desired = objects([]), objects([ours("a")])
    for one in (current, desired):
        one["bootstrapConfig"]["kind"] = kind
    assert both(current, desired)[0] is None
    del desired["bootstrapConfig"]
    assert inplace.can_update_machine({"current": current, "desired": desired})["status"] == "Success"


def test_an_empty_request_is_answered_without_a_patch() -> None:
    assert inplace.can_update_machine({}).keys() == {"apiVersion", "kind", "status"}


names = st.lists(st.sampled_from("abcdef"), unique=True, max_size=6)
others = st.lists(st.sampled_from([OTHER, {"path": "/etc/x", "content": "1"}]), unique_by=lambda file: file["path"])


@given(before=names, after=names, kept=others, data=st.data())
def test_the_patched_current_objects_are_the_desired_ones(
    before: list[str], after: list[str], kept: list[Json], data: st.DataObject
) -> None:
    """What Cluster API does with the answer: it applies the patch and compares."""

    def mixed(ours_: list[Json]) -> list[Json]:
        rest, made = list(kept), []
        for one in ours_:
            cut = data.draw(st.integers(0, len(rest)))
            made += [*rest[:cut], one]
            rest = rest[cut:]
        return made + rest

    current = objects(mixed([ours(name) for name in before]))
    desired = objects(mixed([ours(name, "b") for name in after]))
    untouched = copy.deepcopy((current, desired))
    one, _ = both(current, desired)
    assert one is not None
    assert current["bootstrapConfig"]["spec"] | one == desired["bootstrapConfig"]["spec"]
    assert (current, desired) == untouched
