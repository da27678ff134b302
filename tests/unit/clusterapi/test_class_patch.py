"""The tests apply patches like Cluster API: in order, if the selector matches, each by RFC 6902."""

import copy
import json
import re
from typing import Any

import jsonpatch
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.meta import Json
from trustplane.clusterapi import bootstrap
from trustplane.clusterapi.bootstrap import UNPACK_COMMAND, node_user, trust_secret_name
from trustplane.clusterapi.cluster_class.patch import (
    TRUST_DEFINITION,
    USER_DEFINITION,
    ClassPatch,
    generate_class_patch,
    is_version_at_least,
)
from trustplane.clusterapi.cluster_class.presence import parse_enabled_if
from trustplane.clusterapi.cluster_class.templates import WORKER_TEMPLATE, TemplateReference, template_references
from trustplane.errors import UserError

CONTROL_PLANE = "controlplane.cluster.x-k8s.io"
BOOTSTRAP = "bootstrap.cluster.x-k8s.io"
SPEC = "/spec/template/spec"
CONFIG = f"{SPEC}/kubeadmConfigSpec"
FILE = {"path": "/etc/x", "content": "x"}
FULL: Json = {"files": [FILE], "preKubeadmCommands": ["true"], "users": [{"name": "ops"}]}


def make_template(name: str, spec: Json | None, version: str = "v1beta2") -> Json:
    if name == "cp":
        content = {} if spec is None else {"kubeadmConfigSpec": copy.deepcopy(spec)}
        api_version, kind = f"{CONTROL_PLANE}/{version}", "KubeadmControlPlaneTemplate"
        holder: Json = {"spec": content}
    else:
        api_version, kind = f"{BOOTSTRAP}/{version}", "KubeadmConfigTemplate"
        holder = {} if spec is None else {"spec": copy.deepcopy(spec)}
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": {"template": holder}}


def reference(template: Json) -> Json:
    return {"apiVersion": template["apiVersion"], "kind": template["kind"], "name": template["metadata"]["name"]}


def make_class(*templates: Json, patches: Any = (), pools: Any = (), variables: Any = ()) -> Json:
    """Return a class with these templates: the control plane's first, then one for each MachineDeployment class."""
    first, *others = templates
    workers: Json = {
        "machineDeployments": [
            {"class": other["metadata"]["name"], "bootstrap": {"templateRef": reference(other)}} for other in others
        ],
        "machinePools": [{"class": pool} for pool in pools],
    }
    spec = {"controlPlane": {"templateRef": reference(first)}, "workers": workers}
    return {"kind": "ClusterClass", "spec": {**spec, "patches": list(patches), "variables": list(variables)}}


def make_patch(name: str, *operations: Json, cp: bool = True, classes: Any = ("md",), **more: Any) -> Json:
    """Return a patch; `SPEC` in a path stands for the path of the KubeadmConfigSpec."""
    selectors = []
    if cp:
        selector: Json = {"apiVersion": f"{CONTROL_PLANE}/v1beta2", "kind": "KubeadmControlPlaneTemplate"}
        selectors.append((selector | {"matchResources": {"controlPlane": True}}, CONFIG))
    if classes:
        selector = {"apiVersion": f"{BOOTSTRAP}/v1beta2", "kind": "KubeadmConfigTemplate"}
        selectors.append((selector | {"matchResources": {"machineDeploymentClass": {"names": list(classes)}}}, SPEC))
    definitions = [
        {
            "selector": selector,
            "jsonPatches": [operation | {"path": operation["path"].replace("SPEC", path)} for operation in operations],
        }
        for selector, path in selectors
    ]
    return {"name": name, "definitions": definitions, **more}


def add_operation(path: str, value: Any) -> Json:
    return {"op": "add", "path": f"SPEC{path}", "value": value}


def holds(enabled_if: str, variables: Json) -> bool:
    """Evaluate the Go templates of these tests: `.a` and expressions of it."""
    facts = {f".{name}": value for name, value in variables.items()}

    def value(expression: str) -> bool:
        expression = expression.strip()
        while expression.startswith("(") and _closes(expression) == len(expression) - 1:
            expression = expression[1:-1].strip()
        if expression in facts:
            return bool(facts[expression])
        head, _, rest = expression.partition(" ")
        parts = [value(word) for word in _words(rest)] if head in {"and", "or", "not"} else []
        if head == "eq":
            return value(_words(_words(rest)[0][1:-1])[1])
        if head == "semverCompare":
            least, path = _words(rest)
            return is_version_at_least(str(facts[path]), least.strip('">=').removesuffix("-0"))
        return {"and": all(parts), "or": any(parts), "not": not any(parts)}[head]

    if match := re.fullmatch(r"\{\{ if (.*) \}\}true\{\{ end \}\}", enabled_if):
        return value(match[1])
    return value(enabled_if.removeprefix("{{").removesuffix("}}"))


def _closes(text: str) -> int:
    depth = 0
    for number, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if not depth:
            return number
    return -1


def _words(text: str) -> list[str]:
    words = []
    text = text.strip()
    while text:
        end = _closes(text) + 1 if text.startswith("(") else len(text.split(" ", 1)[0])
        words.append(text[:end])
        text = text[end:].strip()
    return words


def applied(cluster_class: Json, template: Json, **variables: Any) -> Json:
    """Return the KubeadmConfigSpec of a template's machines in cluster `shop`."""
    name = template["metadata"]["name"]
    document = copy.deepcopy(template)
    for patch in cluster_class["spec"]["patches"]:
        if "external" in patch:
            continue
        definitions = [
            definition for definition in patch["definitions"] if _selects(definition["selector"], template, name)
        ]
        if not definitions or ("enabledIf" in patch and not holds(patch["enabledIf"], variables)):
            continue
        for definition in definitions:
            operations = [_calculated(operation, variables) for operation in definition["jsonPatches"]]
            document = jsonpatch.apply_patch(document, operations)
    spec = document["spec"]["template"]["spec"]
    return spec["kubeadmConfigSpec"] if name == "cp" else spec


def _selects(selector: Json, template: Json, name: str) -> bool:
    if (selector["apiVersion"], selector["kind"]) != (template["apiVersion"], template["kind"]):
        return False
    resources = selector["matchResources"]
    names = resources.get("machineDeploymentClass", {}).get("names", [])
    return bool(resources.get("controlPlane")) if name == "cp" else name in names or "*" in names


def _calculated(operation: Json, variables: Json) -> Json:
    if "valueFrom" not in operation:
        return operation
    text = operation["valueFrom"]["template"].replace("{{ .builtin.cluster.name }}", "shop")
    text = text.replace("{{ .user.sshAuthorizedKey | toJson }}", json.dumps((variables.get("user") or {}).get("key")))
    assert "{{" not in text
    return {"op": operation["op"], "path": operation["path"], "value": yaml.safe_load(text)}


def added(cluster_class: Json, result: ClassPatch) -> Json:
    """Return the class after its owner added the result."""
    changed = copy.deepcopy(cluster_class)
    kept = [patch for patch in changed["spec"]["patches"] if patch["name"] not in result.replaced_patches]
    changed["spec"]["patches"] = kept + json.loads(json.dumps(result.patches))
    return changed


def check(cluster_class: Json, template: Json, result: ClassPatch, **variables: Any) -> Json:
    """Check that machines boot with trust and keep everything they had before."""
    others = {**cluster_class["spec"], "patches": []}
    others["patches"] = [
        patch for patch in cluster_class["spec"]["patches"] if patch["name"] not in result.replaced_patches
    ]
    without_ours = {"spec": others}
    try:
        before = applied(without_ours, template, **variables)
    except KeyError:  # a template without a KubeadmConfigSpec
        before = {}
    after = applied(added(cluster_class, result), template, **variables)
    assert trust_secret_name(after) == "shop-trust"
    assert after["preKubeadmCommands"] == [UNPACK_COMMAND, *(before.get("preKubeadmCommands") or [])]
    assert after["files"] == [
        *(before.get("files") or []),
        bootstrap.bundle_file("shop-trust"),
        bootstrap.unpack_file(),
    ]
    return after


SPECS = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "files": st.lists(st.just(FILE), max_size=2),
            "preKubeadmCommands": st.lists(st.sampled_from(["a", "b"]), max_size=2),
            "format": st.just("ignition"),
        },
    ),
)
OPERATIONS = st.one_of(
    st.builds(
        add_operation, st.just("/files"), st.lists(st.just({"path": "/etc/p", "content": "p"}), min_size=1, max_size=2)
    ),
    st.builds(add_operation, st.just("/preKubeadmCommands"), st.lists(st.just("c"), min_size=1, max_size=2)),
    st.builds(add_operation, st.just("/users"), st.just([{"name": "ops"}])),
)
PATCHES = st.lists(
    st.builds(
        make_patch,
        st.sampled_from(["p", "q"]),
        OPERATIONS,
        cp=st.just(value=True),
        classes=st.sampled_from([(), ("md",), ("*",)]),
        enabledIf=st.sampled_from(["{{ .a }}", "{{ if .b }}true{{ end }}", "{{ if not .a }}true{{ end }}"]),
    ),
    max_size=3,
)


@given(
    cp_spec=SPECS,
    md_spec=SPECS,
    patches=PATCHES,
    facts=st.fixed_dictionaries({"a": st.booleans(), "b": st.booleans()}),
    with_user=st.booleans(),
)
def test_nothing_is_lost_and_trust_comes_first(
    cp_spec: Json | None, md_spec: Json | None, patches: list[Json], facts: Json, *, with_user: bool
) -> None:
    cp, md = make_template("cp", cp_spec), make_template("md", md_spec)
    # An earlier patch on a template without a KubeadmConfigSpec would already block the class.
    patches = [] if cp_spec is None or md_spec is None else patches
    cluster_class = make_class(cp, md, patches=patches)
    result = generate_class_patch(cluster_class, [cp, md], with_user=with_user)
    for template in (cp, md):
        after = check(cluster_class, template, result, **facts, user={"key": "ssh-ed25519 AAAA"})
        assert (node_user("ssh-ed25519 AAAA") in after.get("users", [])) == with_user
        assert node_user("ssh-ed25519 AAAA") not in check(cluster_class, template, result, **facts, user=None).get(
            "users", []
        )
    again = generate_class_patch(added(cluster_class, result), [cp, md], with_user=with_user)
    assert again.is_current
    assert again.patches == result.patches


def test_existing_lists_are_appended_to() -> None:
    cp, md = make_template("cp", FULL), make_template("md", {})
    result = generate_class_patch(make_class(cp, md), [cp, md])
    assert [patch["name"] for patch in result.patches] == ["trust"]
    assert "enabledIf" not in result.patches[0]
    first, second = result.patches[0]["definitions"]
    assert [operation["path"] for operation in first["jsonPatches"]] == [
        f"{CONFIG}/files/-",
        f"{CONFIG}/files/-",
        f"{CONFIG}/preKubeadmCommands/0",
    ]
    assert [operation["path"] for operation in second["jsonPatches"]] == [
        f"{SPEC}/files",
        f"{SPEC}/files/-",
        f"{SPEC}/preKubeadmCommands",
    ]
    assert all("valueFrom" in definition["jsonPatches"][0] for definition in (first, second))
    assert first["jsonPatches"][1]["value"] == bootstrap.unpack_file()  # not rendered by Go templates
    assert result == generate_class_patch(make_class(cp, md), [cp, md])
    assert not result.is_current
    assert (result.replaced_patches, result.left_out, result.warnings) == ((), (), ())
    assert result.variables == (TRUST_DEFINITION,)


def test_selectors_use_the_version_in_the_class() -> None:
    cp, old, new = make_template("cp", FULL, "v1beta1"), make_template("old", {}, "v1beta1"), make_template("new", {})
    result = generate_class_patch(make_class(cp, old, new), [cp, old, new])
    assert [
        (definition["selector"]["apiVersion"], definition["selector"]["matchResources"])
        for definition in result.patches[0]["definitions"]
    ] == [
        (f"{CONTROL_PLANE}/v1beta1", {"controlPlane": True}),
        (f"{BOOTSTRAP}/v1beta1", {"machineDeploymentClass": {"names": ["old"]}}),
        (f"{BOOTSTRAP}/v1beta2", {"machineDeploymentClass": {"names": ["new"]}}),
    ]
    for template in (cp, old, new):
        check(make_class(cp, old, new), template, result)


def test_a_v1beta1_class_is_supported() -> None:
    cp, md = make_template("cp", FULL, "v1beta1"), make_template("md", {}, "v1beta1")
    deployments = [{"class": "md", "template": {"bootstrap": {"ref": reference(md)}}}]
    spec = {"controlPlane": {"ref": reference(cp)}, "workers": {"machineDeployments": deployments}}
    assert template_references({"spec": spec}) == tuple(
        TemplateReference(**_named(reference(template))) for template in (cp, md)
    )
    assert len(generate_class_patch({"spec": spec}, [cp, md]).patches[0]["definitions"]) == 2


def _named(ref: Json) -> Json:
    return {"api_version": ref["apiVersion"], "kind": ref["kind"], "name": ref["name"]}


def test_classes_with_the_same_operations_share_a_definition() -> None:
    cp, first, second, other = [make_template(name, {}) for name in ("cp", "a", "b")] + [make_template("c", FULL)]
    result = generate_class_patch(make_class(cp, first, second, other), [cp, first, second, other])
    names = [
        definition["selector"]["matchResources"].get("machineDeploymentClass", {}).get("names")
        for definition in result.patches[0]["definitions"]
    ]
    assert names == [None, ["a", "b"], ["c"]]


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("windows-pool", {}),
        ("md-win", {}),
        ("md", {"joinConfiguration": {"nodeRegistration": {"criSocket": "npipe:////./pipe/containerd-containerd"}}}),
        ("md", {"files": [{"path": "C:/x.ps1", "content": "x"}]}),
        ("md", {"postKubeadmCommands": ["powershell C:/x.ps1"]}),
    ],
)
def test_windows_is_left_out(name: str, spec: Json) -> None:
    cp, md, linux = make_template("cp", FULL), make_template(name, spec), make_template("twin", {})
    result = generate_class_patch(make_class(cp, md, linux), [cp, md, linux])
    assert result.left_out == (f"MachineDeployment class {name}: its machines run Windows",)
    assert [definition["selector"]["matchResources"] for definition in result.patches[0]["definitions"]][1:] == [
        {"machineDeploymentClass": {"names": ["twin"]}}
    ]


def test_machine_pools_other_kinds_and_excluded_classes_are_left_out() -> None:
    cp, md, excluded = make_template("cp", FULL), make_template("md", {}), make_template("excluded", {})
    rke = make_template("rke", {}) | {"kind": "Other"}
    result = generate_class_patch(
        make_class(cp, md, rke, excluded, pools=["p"]), [cp, md, excluded], leave_out=["excluded"]
    )
    assert result.left_out == (
        f"MachineDeployment class rke: its template is Other of {BOOTSTRAP}/v1beta2, not kubeadm's {WORKER_TEMPLATE}",
        "MachineDeployment class excluded: you left it out",
        "MachinePool class p: Trustplane does not support MachinePools",
    )
    with pytest.raises(UserError, match="no MachineDeployment class gone"):
        generate_class_patch(make_class(cp, md), [cp, md], leave_out=["gone"])


def test_a_class_without_kubeadm_machines_is_refused() -> None:
    managed = make_template("cp", {}) | {"kind": "ManagedControlPlaneTemplate"}
    with pytest.raises(UserError, match="cannot give trust to any machine"):
        generate_class_patch(make_class(managed), [])


def test_an_absent_template_is_named() -> None:
    cp, md = make_template("cp", FULL), make_template("md", {})
    with pytest.raises(UserError, match=r"KubeadmConfigTemplate md of \S+ does not exist"):
        generate_class_patch(make_class(cp, md), [cp])
    with pytest.raises(UserError, match=r"KubeadmConfigTemplate md of \S+ does not exist"):
        generate_class_patch(make_class(cp, md), [cp, make_template("md", {}, "v1beta1")])


def test_an_earlier_patch_adds_the_list() -> None:
    cp, md = make_template("cp", {}), make_template("md", {})
    cluster_class = make_class(cp, md, patches=[make_patch("p", add_operation("/files", [FILE]))])
    result = generate_class_patch(cluster_class, [cp, md])
    assert result.patches[0]["definitions"][1]["jsonPatches"][0]["path"] == f"{SPEC}/files/-"
    check(cluster_class, md, result)


@pytest.mark.parametrize("enabled_if", ["{{ .a }}", "{{ if .a }}true{{ end }}"])
def test_an_earlier_patch_adds_the_list_in_some_clusters(enabled_if: str) -> None:
    cp, md = make_template("cp", FULL), make_template("md", {"preKubeadmCommands": ["x"]})
    cluster_class = make_class(cp, md, patches=[make_patch("p", add_operation("/files", [FILE]), enabledIf=enabled_if)])
    result = generate_class_patch(cluster_class, [cp, md])
    assert [patch["name"] for patch in result.patches] == ["trust", "trust-workers", "trust-workers-2"]
    check(cluster_class, md, result, a=True)
    check(cluster_class, md, result, a=False)


@pytest.mark.parametrize(
    "earlier",
    [
        make_patch("p", add_operation("/files", [FILE]), enabledIf="{{ range .a }}true{{ end }}"),
        make_patch(
            "p", {"op": "remove", "path": "SPEC/users"}, {"op": "remove", "path": "SPEC/files"}, enabledIf="{{ .a }}"
        ),
        make_patch("p", {"op": "replace", "path": "SPEC", "valueFrom": {"variable": "whole"}}),
        make_patch("p", {"op": "remove", "path": "SPEC"}, enabledIf="{{ .a }}"),
    ],
)
def test_a_patch_with_an_unknown_effect_is_refused(earlier: Json) -> None:
    for spec in (FULL, {"users": [{"name": "x"}]}):
        cp, md = make_template("cp", FULL), make_template("md", spec)
        if spec != FULL and "range" not in str(earlier):
            continue
        if spec == FULL and "range" in str(earlier):
            generate_class_patch(make_class(cp, md, patches=[earlier]), [cp, md])  # the list always exists
            continue
        with pytest.raises(UserError, match="Cannot generate a patch") as raised:
            generate_class_patch(make_class(cp, md, patches=[earlier]), [cp, md])
        assert "patch p" in raised.value.why


def test_whole_objects_set_by_earlier_patches_count() -> None:
    cp, md = make_template("cp", FULL), make_template("md", FULL)
    cluster_class = make_class(
        cp, md, patches=[make_patch("p", add_operation("", {"preKubeadmCommands": ["x"], "files": []}))]
    )
    result = generate_class_patch(cluster_class, [cp, md])
    assert [operation["path"] for operation in result.patches[0]["definitions"][1]["jsonPatches"]] == [
        f"{SPEC}/files",
        f"{SPEC}/files/-",
        f"{SPEC}/preKubeadmCommands/0",
    ]


def test_a_later_patch_that_removes_the_trust_causes_a_warning() -> None:
    cp, md = make_template("cp", {}), make_template("md", {})
    ours = generate_class_patch(make_class(cp, md), [cp, md]).patches
    wipe = make_patch("wipe", add_operation("/files", [FILE]), cp=False)
    result = generate_class_patch(make_class(cp, md, patches=[*ours, wipe]), [cp, md])
    assert not result.is_current
    assert result.replaced_patches == ("trust",)
    [warning] = result.warnings
    assert warning.startswith("Patch wipe comes after trust and overwrites files of MachineDeployment class md")
    check(make_class(cp, md, patches=[*ours, wipe]), md, result)
    harmless = make_patch("more", add_operation("/files/-", FILE))
    assert generate_class_patch(make_class(cp, md, patches=[*ours, harmless]), [cp, md]).warnings == ()


def test_a_runtime_extension_causes_a_warning() -> None:
    cp, md = make_template("cp", FULL), make_template("md", {})
    external = {"name": "ext", "external": {"generatePatchesExtension": "generate-patches.x"}}
    checks = {"name": "checks", "external": {"validateTopologyExtension": "validate.x"}}
    [warning] = generate_class_patch(make_class(cp, md, patches=[external, checks]), [cp, md]).warnings
    assert "Patch ext is generated by a runtime extension" in warning


def test_the_runtime_extension_of_earlier_releases_is_replaced() -> None:
    cp, md = make_template("cp", FULL), make_template("md", {})
    former = {"name": "trust", "external": {"generatePatchesExtension": "generate-patches.trustplane"}}
    result = generate_class_patch(make_class(cp, md, patches=[former]), [cp, md])
    assert (result.replaced_patches, result.warnings, result.is_current) == (("trust",), (), False)
    assert [patch["name"] for patch in result.patches] == ["trust"]
    assert TRUST_DEFINITION in result.variables  # which the old patch had defined


def test_names_of_existing_patches_are_not_reused() -> None:
    cp, md = make_template("cp", FULL), make_template("md", {})
    result = generate_class_patch(
        make_class(cp, md, patches=[make_patch("trust", add_operation("/users", [{"name": "x"}]))]), [cp, md]
    )
    assert [patch["name"] for patch in result.patches] == ["trust-2"]


def test_a_template_with_our_files_is_refused() -> None:
    cp, md = make_template("cp", FULL), make_template("md", bootstrap.add_trust({}, "shop"))
    with pytest.raises(UserError, match="already has file /etc/trustplane"):
        generate_class_patch(make_class(cp, md), [cp, md])


@pytest.mark.parametrize("version", ["1.36", "1.36.0", "v1.36.0"])
def test_patches_are_limited_to_the_next_version(version: str) -> None:
    cp, md = make_template("cp", FULL), make_template("md", {})
    cluster_class = make_class(cp, md)
    result = generate_class_patch(cluster_class, [cp, md], with_next_version=version)
    assert {patch["name"]: patch["enabledIf"] for patch in result.patches} == {
        "trust-control-plane": '{{ if (semverCompare ">=1.36.0-0" .builtin.controlPlane.version) }}true{{ end }}',
        "trust-workers": '{{ if (semverCompare ">=1.36.0-0" .builtin.machineDeployment.version) }}true{{ end }}',
    }
    facts = {"builtin.controlPlane.version": "v1.36.3+vmware.1", "builtin.machineDeployment.version": "v1.35.4"}
    check(cluster_class, cp, result, **facts)
    assert applied(added(cluster_class, result), md, **facts) == {}


def test_the_next_version_combines_with_a_conditional_list() -> None:
    cp, md = make_template("cp", FULL), make_template("md", {})
    cluster_class = make_class(cp, md, patches=[make_patch("p", add_operation("/files", [FILE]), enabledIf="{{ .a }}")])
    result = generate_class_patch(cluster_class, [cp, md], with_next_version="1.36.0", with_user=True)
    facts = {"builtin.machineDeployment.version": "v1.36.0", "user": {"key": "k"}}
    for a in (True, False):
        assert node_user("k") in check(cluster_class, md, result, a=a, **facts)["users"]
    assert len({patch["name"] for patch in result.patches}) == len(result.patches)
    assert all(len(patch["enabledIf"]) <= 256 for patch in result.patches)


def test_a_condition_above_the_limit_is_refused() -> None:
    cp, md = make_template("cp", FULL), make_template("md", {})
    long = make_patch("p", add_operation("/files", [FILE]), enabledIf=f"{{{{ .{'a' * 240} }}}}")
    with pytest.raises(UserError, match="Cannot generate a patch"):
        generate_class_patch(make_class(cp, md, patches=[long]), [cp, md])


@pytest.mark.parametrize("version", ["", "x", "1", "1.36.x", "1.36.0.1", "1.٣.0"])
def test_an_invalid_version_is_refused(version: str) -> None:
    assert not is_version_at_least(version, "1.36.0")
    cp = make_template("cp", FULL)
    if version:
        with pytest.raises(UserError, match="not a Kubernetes version"):
            generate_class_patch(make_class(cp), [cp], with_next_version=version)


def test_versions_are_compared() -> None:
    assert is_version_at_least("v1.36.3+vmware.1", "1.36.3")
    assert is_version_at_least("v1.37.0-alpha.1", "v1.37.0")
    assert not is_version_at_least("v1.9.9", "1.36.0")


def test_the_user_comes_with_its_variable() -> None:
    cp, md = make_template("cp", FULL), make_template("md", {})
    result = generate_class_patch(make_class(cp, md), [cp, md], with_user=True)
    assert result.variables == (TRUST_DEFINITION, USER_DEFINITION)
    assert [patch["name"] for patch in result.patches] == ["trust", "trust-user"]
    assert result.patches[1]["enabledIf"] == "{{ if .user }}true{{ end }}"
    both = [USER_DEFINITION, TRUST_DEFINITION]
    assert generate_class_patch(make_class(cp, md, variables=both), [cp, md], with_user=True).variables == ()


def test_the_user_is_not_added_to_a_class_that_has_it() -> None:
    cp, md = make_template("cp", FULL), make_template("md", {})
    existing = make_patch("user", add_operation("/users", [node_user("key")]))
    result = generate_class_patch(
        make_class(cp, md, patches=[existing], variables=[USER_DEFINITION]), [cp, md], with_user=True
    )
    assert [patch["name"] for patch in result.patches] == ["trust"]
    assert "already creates user vmware-system-user" in result.warnings[0]
    result = generate_class_patch(
        make_class(cp, md, variables=[{"name": "user", "schema": {}}]), [cp, md], with_user=True
    )
    assert [patch["name"] for patch in result.patches] == ["trust"]
    assert "variable user with a different meaning" in result.warnings[0]
    assert result.variables == (TRUST_DEFINITION,)


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        (None, "true"),
        ("true", "true"),
        ("false", "false"),
        ("{{ .a }}", '(eq (print (.a)) "true")'),
        ("{{- .a.b | default false -}}", '(eq (print (.a.b | default false)) "true")'),
        ("{{ if and .a (not .b) }}true{{ end }}", "(and .a (not .b))"),
        ("{{ if .a }}true{{ else }}false{{ end }}", "(.a)"),
        ("{{if .a}}true{{else}}{{end}}", "(.a)"),
        ("{{- if .a -}} true {{- end -}}", "(.a)"),
        ("{{ if .a }}false{{ else }}true{{ end }}", None),
        ("{{ if .a }}true{{ else if .b }}true{{ end }}", None),
        ("{{ $x := .a }}{{ $x }}", None),
        ("{{ .a }}{{ .b }}", None),
        ("{{ }}", None),
        ("{{ /* x */ }}true", None),
        ('{{ template "x" }}', None),
    ],
)
def test_conditions(text: str | None, expression: str | None) -> None:
    assert parse_enabled_if(text) == expression


FIELDS = ["controlPlane", "workers", "machineDeployments", "machinePools", "templateRef", "patches", "variables", "ref"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3),
        max_leaves=20,
    )
)
def test_malformed_classes_are_refused(odd: Any) -> None:
    with pytest.raises(UserError):
        generate_class_patch({"spec": odd}, [])
