"""Patches are applied as Cluster API does: in order, where the selector matches, each as RFC 6902 says."""

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


def template(name: str, spec: Json | None, version: str = "v1beta2") -> Json:
    if name == "cp":
        content = {} if spec is None else {"kubeadmConfigSpec": copy.deepcopy(spec)}
        api_version, kind = f"{CONTROL_PLANE}/{version}", "KubeadmControlPlaneTemplate"
        holder: Json = {"spec": content}
    else:
        api_version, kind = f"{BOOTSTRAP}/{version}", "KubeadmConfigTemplate"
        holder = {} if spec is None else {"spec": copy.deepcopy(spec)}
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": {"template": holder}}


def reference(one: Json) -> Json:
    return {"apiVersion": one["apiVersion"], "kind": one["kind"], "name": one["metadata"]["name"]}


def of(*templates: Json, patches: Any = (), pools: Any = (), variables: Any = ()) -> Json:
    """Return a class of these templates: the control plane's, and one for each MachineDeployment class."""
    first, *others = templates
    workers: Json = {
        "machineDeployments": [
            {"class": one["metadata"]["name"], "bootstrap": {"templateRef": reference(one)}} for one in others
        ],
        "machinePools": [{"class": one} for one in pools],
    }
    spec = {"controlPlane": {"templateRef": reference(first)}, "workers": workers}
    return {"kind": "ClusterClass", "spec": {**spec, "patches": list(patches), "variables": list(variables)}}


def patch(name: str, *operations: Json, cp: bool = True, classes: Any = ("md",), **more: Any) -> Json:
    """Return a patch; `SPEC` in a path is where the KubeadmConfigSpec is."""
    found = []
    if cp:
        selector: Json = {"apiVersion": f"{CONTROL_PLANE}/v1beta2", "kind": "KubeadmControlPlaneTemplate"}
        found.append((selector | {"matchResources": {"controlPlane": True}}, CONFIG))
    if classes:
        selector = {"apiVersion": f"{BOOTSTRAP}/v1beta2", "kind": "KubeadmConfigTemplate"}
        found.append((selector | {"matchResources": {"machineDeploymentClass": {"names": list(classes)}}}, SPEC))
    definitions = [
        {
            "selector": selector,
            "jsonPatches": [one | {"path": one["path"].replace("SPEC", path)} for one in operations],
        }
        for selector, path in found
    ]
    return {"name": name, "definitions": definitions, **more}


def add(path: str, value: Any) -> Json:
    return {"op": "add", "path": f"SPEC{path}", "value": value}


def holds(enabled_if: str, variables: Json) -> bool:
    """Run the few Go templates of these tests: `.a` and what is made of it."""
    facts = {f".{name}": value for name, value in variables.items()}

    def value(expression: str) -> bool:
        expression = expression.strip()
        while expression.startswith("(") and _closes(expression) == len(expression) - 1:
            expression = expression[1:-1].strip()
        if expression in facts:
            return bool(facts[expression])
        head, _, rest = expression.partition(" ")
        parts = [value(one) for one in _words(rest)] if head in {"and", "or", "not"} else []
        if head == "eq":
            return value(_words(_words(rest)[0][1:-1])[1])
        if head == "semverCompare":
            least, path = _words(rest)
            return is_version_at_least(str(facts[path]), least.strip('">=').removesuffix("-0"))
        return {"and": all(parts), "or": any(parts), "not": not any(parts)}[head]

    if found := re.fullmatch(r"\{\{ if (.*) \}\}true\{\{ end \}\}", enabled_if):
        return value(found[1])
    return value(enabled_if.removeprefix("{{").removesuffix("}}"))


def _closes(text: str) -> int:
    depth = 0
    for number, one in enumerate(text):
        depth += {"(": 1, ")": -1}.get(one, 0)
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


def applied(cluster_class: Json, one: Json, **variables: Any) -> Json:
    """Return the KubeadmConfigSpec that machines of a template get in cluster `shop`."""
    name = one["metadata"]["name"]
    document = copy.deepcopy(one)
    for each in cluster_class["spec"]["patches"]:
        if "external" in each:
            continue
        found = [definition for definition in each["definitions"] if _selects(definition["selector"], one, name)]
        if not found or ("enabledIf" in each and not holds(each["enabledIf"], variables)):
            continue
        for definition in found:
            operations = [_calculated(operation, variables) for operation in definition["jsonPatches"]]
            document = jsonpatch.apply_patch(document, operations)
    spec = document["spec"]["template"]["spec"]
    return spec["kubeadmConfigSpec"] if name == "cp" else spec


def _selects(selector: Json, one: Json, name: str) -> bool:
    if (selector["apiVersion"], selector["kind"]) != (one["apiVersion"], one["kind"]):
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


def added(cluster_class: Json, made: ClassPatch) -> Json:
    """Return the class as its owner has it afterwards."""
    found = copy.deepcopy(cluster_class)
    kept = [one for one in found["spec"]["patches"] if one["name"] not in made.replaced_patches]
    found["spec"]["patches"] = kept + json.loads(json.dumps(made.patches))
    return found


def check(cluster_class: Json, one: Json, made: ClassPatch, **variables: Any) -> Json:
    """Check that machines boot with trust and have all that they had before."""
    others = {**cluster_class["spec"], "patches": []}
    others["patches"] = [each for each in cluster_class["spec"]["patches"] if each["name"] not in made.replaced_patches]
    without_ours = {"spec": others}
    try:
        before = applied(without_ours, one, **variables)
    except KeyError:  # a template without a KubeadmConfigSpec
        before = {}
    after = applied(added(cluster_class, made), one, **variables)
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
    st.builds(add, st.just("/files"), st.lists(st.just({"path": "/etc/p", "content": "p"}), min_size=1, max_size=2)),
    st.builds(add, st.just("/preKubeadmCommands"), st.lists(st.just("c"), min_size=1, max_size=2)),
    st.builds(add, st.just("/users"), st.just([{"name": "ops"}])),
)
PATCHES = st.lists(
    st.builds(
        patch,
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
    cp, md = template("cp", cp_spec), template("md", md_spec)
    # An earlier patch on a template that has no KubeadmConfigSpec would stop the class by itself.
    patches = [] if cp_spec is None or md_spec is None else patches
    cluster_class = of(cp, md, patches=patches)
    made = generate_class_patch(cluster_class, [cp, md], with_user=with_user)
    for one in (cp, md):
        after = check(cluster_class, one, made, **facts, user={"key": "ssh-ed25519 AAAA"})
        assert (node_user("ssh-ed25519 AAAA") in after.get("users", [])) == with_user
        assert node_user("ssh-ed25519 AAAA") not in check(cluster_class, one, made, **facts, user=None).get("users", [])
    again = generate_class_patch(added(cluster_class, made), [cp, md], with_user=with_user)
    assert again.is_current
    assert again.patches == made.patches


def test_lists_that_are_there_are_appended_to() -> None:
    cp, md = template("cp", FULL), template("md", {})
    made = generate_class_patch(of(cp, md), [cp, md])
    assert [one["name"] for one in made.patches] == ["trust"]
    assert "enabledIf" not in made.patches[0]
    first, second = made.patches[0]["definitions"]
    assert [one["path"] for one in first["jsonPatches"]] == [
        f"{CONFIG}/files/-",
        f"{CONFIG}/files/-",
        f"{CONFIG}/preKubeadmCommands/0",
    ]
    assert [one["path"] for one in second["jsonPatches"]] == [
        f"{SPEC}/files",
        f"{SPEC}/files/-",
        f"{SPEC}/preKubeadmCommands",
    ]
    assert all("valueFrom" in one["jsonPatches"][0] for one in (first, second))
    assert first["jsonPatches"][1]["value"] == bootstrap.unpack_file()  # not seen by Go's templates
    assert made == generate_class_patch(of(cp, md), [cp, md])
    assert not made.is_current
    assert (made.replaced_patches, made.left_out, made.warnings) == ((), (), ())
    assert made.variables == (TRUST_DEFINITION,)


def test_selectors_have_the_version_that_the_class_names() -> None:
    cp, old, new = template("cp", FULL, "v1beta1"), template("old", {}, "v1beta1"), template("new", {})
    made = generate_class_patch(of(cp, old, new), [cp, old, new])
    assert [
        (one["selector"]["apiVersion"], one["selector"]["matchResources"]) for one in made.patches[0]["definitions"]
    ] == [
        (f"{CONTROL_PLANE}/v1beta1", {"controlPlane": True}),
        (f"{BOOTSTRAP}/v1beta1", {"machineDeploymentClass": {"names": ["old"]}}),
        (f"{BOOTSTRAP}/v1beta2", {"machineDeploymentClass": {"names": ["new"]}}),
    ]
    for one in (cp, old, new):
        check(of(cp, old, new), one, made)


def test_a_class_of_v1beta1_is_read() -> None:
    cp, md = template("cp", FULL, "v1beta1"), template("md", {}, "v1beta1")
    deployments = [{"class": "md", "template": {"bootstrap": {"ref": reference(md)}}}]
    spec = {"controlPlane": {"ref": reference(cp)}, "workers": {"machineDeployments": deployments}}
    assert template_references({"spec": spec}) == tuple(TemplateReference(**_named(reference(one))) for one in (cp, md))
    assert len(generate_class_patch({"spec": spec}, [cp, md]).patches[0]["definitions"]) == 2


def _named(one: Json) -> Json:
    return {"api_version": one["apiVersion"], "kind": one["kind"], "name": one["name"]}


def test_classes_that_need_the_same_share_a_definition() -> None:
    cp, one, two, other = template("cp", {}), template("a", {}), template("b", {}), template("c", FULL)
    made = generate_class_patch(of(cp, one, two, other), [cp, one, two, other])
    names = [
        each["selector"]["matchResources"].get("machineDeploymentClass", {}).get("names")
        for each in made.patches[0]["definitions"]
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
    cp, md, linux = template("cp", FULL), template(name, spec), template("twin", {})
    made = generate_class_patch(of(cp, md, linux), [cp, md, linux])
    assert made.left_out == (f"MachineDeployment class {name}: its machines run Windows",)
    assert [one["selector"]["matchResources"] for one in made.patches[0]["definitions"]][1:] == [
        {"machineDeploymentClass": {"names": ["twin"]}}
    ]


def test_machine_pools_others_kinds_and_what_the_user_leaves_out_are_left_out() -> None:
    cp, md, mine = template("cp", FULL), template("md", {}), template("mine", {})
    rke = template("rke", {}) | {"kind": "Other"}
    made = generate_class_patch(of(cp, md, rke, mine, pools=["p"]), [cp, md, mine], leave_out=["mine"])
    assert made.left_out == (
        f"MachineDeployment class rke: it is made from a Other of {BOOTSTRAP}/v1beta2, and not from kubeadm's {WORKER_TEMPLATE}",
        "MachineDeployment class mine: you left it out",
        "MachinePool class p: Trustplane does not follow MachinePools",
    )
    with pytest.raises(UserError, match="no MachineDeployment class gone"):
        generate_class_patch(of(cp, md), [cp, md], leave_out=["gone"])


def test_a_class_of_others_machines_is_refused() -> None:
    managed = template("cp", {}) | {"kind": "ManagedControlPlaneTemplate"}
    with pytest.raises(UserError, match="cannot get their trust"):
        generate_class_patch(of(managed), [])


def test_a_template_that_is_not_there_is_named() -> None:
    cp, md = template("cp", FULL), template("md", {})
    with pytest.raises(UserError, match="no KubeadmConfigTemplate md of bootstrap"):
        generate_class_patch(of(cp, md), [cp])
    with pytest.raises(UserError, match="no KubeadmConfigTemplate md of bootstrap"):
        generate_class_patch(of(cp, md), [cp, template("md", {}, "v1beta1")])


def test_an_earlier_patch_adds_the_list() -> None:
    cp, md = template("cp", {}), template("md", {})
    cluster_class = of(cp, md, patches=[patch("p", add("/files", [FILE]))])
    made = generate_class_patch(cluster_class, [cp, md])
    assert made.patches[0]["definitions"][1]["jsonPatches"][0]["path"] == f"{SPEC}/files/-"
    check(cluster_class, md, made)


@pytest.mark.parametrize("enabled_if", ["{{ .a }}", "{{ if .a }}true{{ end }}"])
def test_an_earlier_patch_adds_the_list_in_some_clusters(enabled_if: str) -> None:
    cp, md = template("cp", FULL), template("md", {"preKubeadmCommands": ["x"]})
    cluster_class = of(cp, md, patches=[patch("p", add("/files", [FILE]), enabledIf=enabled_if)])
    made = generate_class_patch(cluster_class, [cp, md])
    assert [one["name"] for one in made.patches] == ["trust", "trust-workers", "trust-workers-2"]
    check(cluster_class, md, made, a=True)
    check(cluster_class, md, made, a=False)


@pytest.mark.parametrize(
    "earlier",
    [
        patch("p", add("/files", [FILE]), enabledIf="{{ range .a }}true{{ end }}"),
        patch(
            "p", {"op": "remove", "path": "SPEC/users"}, {"op": "remove", "path": "SPEC/files"}, enabledIf="{{ .a }}"
        ),
        patch("p", {"op": "replace", "path": "SPEC", "valueFrom": {"variable": "whole"}}),
        patch("p", {"op": "remove", "path": "SPEC"}, enabledIf="{{ .a }}"),
    ],
)
def test_what_cannot_be_followed_is_refused(earlier: Json) -> None:
    for spec in (FULL, {"users": [{"name": "x"}]}):
        cp, md = template("cp", FULL), template("md", spec)
        if spec != FULL and "range" not in str(earlier):
            continue
        if spec == FULL and "range" in str(earlier):
            generate_class_patch(of(cp, md, patches=[earlier]), [cp, md])  # the list is there anyway
            continue
        with pytest.raises(UserError, match="No patch can be made") as raised:
            generate_class_patch(of(cp, md, patches=[earlier]), [cp, md])
        assert "patch p" in raised.value.why


def test_whole_objects_that_earlier_patches_set_count() -> None:
    cp, md = template("cp", FULL), template("md", FULL)
    cluster_class = of(cp, md, patches=[patch("p", add("", {"preKubeadmCommands": ["x"], "files": []}))])
    made = generate_class_patch(cluster_class, [cp, md])
    assert [one["path"] for one in made.patches[0]["definitions"][1]["jsonPatches"]] == [
        f"{SPEC}/files",
        f"{SPEC}/files/-",
        f"{SPEC}/preKubeadmCommands/0",
    ]


def test_a_later_patch_that_takes_the_trust_out_is_said() -> None:
    cp, md = template("cp", {}), template("md", {})
    ours = generate_class_patch(of(cp, md), [cp, md]).patches
    wipe = patch("wipe", add("/files", [FILE]), cp=False)
    made = generate_class_patch(of(cp, md, patches=[*ours, wipe]), [cp, md])
    assert not made.is_current
    assert made.replaced_patches == ("trust",)
    [warning] = made.warnings
    assert warning.startswith("Patch wipe comes after trust and sets the whole of files of MachineDeployment class md")
    check(of(cp, md, patches=[*ours, wipe]), md, made)
    harmless = patch("more", add("/files/-", FILE))
    assert generate_class_patch(of(cp, md, patches=[*ours, harmless]), [cp, md]).warnings == ()


def test_runtime_extensions_are_not_followed_and_that_is_said() -> None:
    cp, md = template("cp", FULL), template("md", {})
    external = {"name": "ext", "external": {"generatePatchesExtension": "generate-patches.x"}}
    checks = {"name": "checks", "external": {"validateTopologyExtension": "validate.x"}}
    [warning] = generate_class_patch(of(cp, md, patches=[external, checks]), [cp, md]).warnings
    assert "Patch ext is made by a runtime extension" in warning


def test_the_runtime_extension_of_former_versions_goes() -> None:
    cp, md = template("cp", FULL), template("md", {})
    former = {"name": "trust", "external": {"generatePatchesExtension": "generate-patches.trustplane"}}
    made = generate_class_patch(of(cp, md, patches=[former]), [cp, md])
    assert (made.replaced_patches, made.warnings, made.is_current) == (("trust",), (), False)
    assert [one["name"] for one in made.patches] == ["trust"]
    assert TRUST_DEFINITION in made.variables  # which that patch has defined


def test_names_that_the_class_has_are_left_to_it() -> None:
    cp, md = template("cp", FULL), template("md", {})
    made = generate_class_patch(of(cp, md, patches=[patch("trust", add("/users", [{"name": "x"}]))]), [cp, md])
    assert [one["name"] for one in made.patches] == ["trust-2"]


def test_files_in_our_place_are_refused() -> None:
    cp, md = template("cp", FULL), template("md", bootstrap.add_trust({}, "shop"))
    with pytest.raises(UserError, match="has a file /etc/trustplane"):
        generate_class_patch(of(cp, md), [cp, md])


@pytest.mark.parametrize("version", ["1.36", "1.36.0", "v1.36.0"])
def test_with_the_next_version(version: str) -> None:
    cp, md = template("cp", FULL), template("md", {})
    cluster_class = of(cp, md)
    made = generate_class_patch(cluster_class, [cp, md], with_next_version=version)
    assert {one["name"]: one["enabledIf"] for one in made.patches} == {
        "trust-control-plane": '{{ if (semverCompare ">=1.36.0-0" .builtin.controlPlane.version) }}true{{ end }}',
        "trust-workers": '{{ if (semverCompare ">=1.36.0-0" .builtin.machineDeployment.version) }}true{{ end }}',
    }
    facts = {"builtin.controlPlane.version": "v1.36.3+vmware.1", "builtin.machineDeployment.version": "v1.35.4"}
    check(cluster_class, cp, made, **facts)
    assert applied(added(cluster_class, made), md, **facts) == {}


def test_with_the_next_version_and_a_list_of_some_clusters() -> None:
    cp, md = template("cp", FULL), template("md", {})
    cluster_class = of(cp, md, patches=[patch("p", add("/files", [FILE]), enabledIf="{{ .a }}")])
    made = generate_class_patch(cluster_class, [cp, md], with_next_version="1.36.0", with_user=True)
    facts = {"builtin.machineDeployment.version": "v1.36.0", "user": {"key": "k"}}
    for a in (True, False):
        assert node_user("k") in check(cluster_class, md, made, a=a, **facts)["users"]
    assert len({one["name"] for one in made.patches}) == len(made.patches)
    assert all(len(one["enabledIf"]) <= 256 for one in made.patches)


def test_a_condition_that_is_too_long_is_refused() -> None:
    cp, md = template("cp", FULL), template("md", {})
    long = patch("p", add("/files", [FILE]), enabledIf=f"{{{{ .{'a' * 240} }}}}")
    with pytest.raises(UserError, match="No patch can be made"):
        generate_class_patch(of(cp, md, patches=[long]), [cp, md])


@pytest.mark.parametrize("version", ["", "x", "1", "1.36.x", "1.36.0.1", "1.٣.0"])
def test_what_is_no_version_is_refused(version: str) -> None:
    assert not is_version_at_least(version, "1.36.0")
    cp = template("cp", FULL)
    if version:
        with pytest.raises(UserError, match="no version of Kubernetes"):
            generate_class_patch(of(cp), [cp], with_next_version=version)


def test_versions_are_compared() -> None:
    assert is_version_at_least("v1.36.3+vmware.1", "1.36.3")
    assert is_version_at_least("v1.37.0-alpha.1", "v1.37.0")
    assert not is_version_at_least("v1.9.9", "1.36.0")


def test_the_user_comes_with_its_variable() -> None:
    cp, md = template("cp", FULL), template("md", {})
    made = generate_class_patch(of(cp, md), [cp, md], with_user=True)
    assert made.variables == (TRUST_DEFINITION, USER_DEFINITION)
    assert [one["name"] for one in made.patches] == ["trust", "trust-user"]
    assert made.patches[1]["enabledIf"] == "{{ if .user }}true{{ end }}"
    both = [USER_DEFINITION, TRUST_DEFINITION]
    assert generate_class_patch(of(cp, md, variables=both), [cp, md], with_user=True).variables == ()


def test_the_user_is_left_to_a_class_that_has_it() -> None:
    cp, md = template("cp", FULL), template("md", {})
    theirs = patch("user", add("/users", [node_user("key")]))
    made = generate_class_patch(of(cp, md, patches=[theirs], variables=[USER_DEFINITION]), [cp, md], with_user=True)
    assert [one["name"] for one in made.patches] == ["trust"]
    assert "makes user vmware-system-user already" in made.warnings[0]
    made = generate_class_patch(of(cp, md, variables=[{"name": "user", "schema": {}}]), [cp, md], with_user=True)
    assert [one["name"] for one in made.patches] == ["trust"]
    assert "variable user of another meaning" in made.warnings[0]
    assert made.variables == (TRUST_DEFINITION,)


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
        lambda one: st.lists(one, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), one, max_size=3),
        max_leaves=20,
    )
)
def test_odd_classes_are_refused_and_break_nothing(odd: Any) -> None:
    with pytest.raises(UserError):
        generate_class_patch({"spec": odd}, [])
