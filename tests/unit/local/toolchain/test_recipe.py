import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane_local.toolchain import recipe as recipes
from trustplane_local.toolchain.recipe import RECIPE, Module, create_recipe, recipe_key, required_go
from trustplane_local.versions import DEFAULT_VERSIONS, VERSION_SETS, Versions

GO = "go1.26.8 linux/amd64"
RECIPES = [create_recipe(one) for one in VERSION_SETS.values()]


@pytest.mark.parametrize(
    "module", {one.name: one for made in RECIPES for one in made.modules}.values(), ids=lambda module: module.name
)
def test_every_program_is_a_tool_of_its_module(module: Module) -> None:
    content = (module.folder / "go.mod").read_text()
    block = re.search(r"^tool \((.*?)^\)", content, re.MULTILINE | re.DOTALL)
    tools = block[1].split() if block else re.findall(r"^tool (\S+)$", content, re.MULTILINE)
    assert sorted(tools) == sorted(module.programs.values())


@pytest.mark.parametrize("versions", VERSION_SETS.values(), ids=lambda versions: versions.name)
def test_versions_told_to_programs_are_those_required(versions: Versions) -> None:
    required = {module.name: (module.folder / "go.mod").read_text() for module in create_recipe(versions).modules}
    assert f"k8s.io/kubernetes {versions.kubernetes} " in required[versions.module]
    assert (
        f"k8s.io/kubelet => k8s.io/kubelet v0.{versions.kubernetes.removeprefix('v1.')}\n" in required[versions.module]
    )
    assert f"sigs.k8s.io/cluster-api {versions.cluster_api} " in required[versions.module]
    assert f"github.com/coredns/coredns {versions.coredns} " in required[versions.module]
    assert f"go.etcd.io/etcd/server/v3 {versions.etcd} " in required["etcd"]
    assert f"github.com/containerd/containerd/v2 {versions.containerd} " in required["containerd"]
    assert f"github.com/distribution/distribution/v3 {versions.registry} " in required["registry"]


def test_module_files_are_never_changed_by_a_build() -> None:
    assert all("-mod=readonly" in module.flags for made in RECIPES for module in made.modules)


@pytest.mark.parametrize("versions", VERSION_SETS.values(), ids=lambda versions: versions.name)
def test_kubelet_is_told_its_version(versions: Versions) -> None:
    flags = " ".join(create_recipe(versions).modules[0].flags)
    assert f"-X k8s.io/component-base/version.gitVersion={versions.kubernetes}" in flags


def test_the_core_manager_is_where_its_version_has_it() -> None:
    older = create_recipe(replace(DEFAULT_VERSIONS, core=""))
    assert older.modules[0].programs["capi-core"] == "sigs.k8s.io/cluster-api"
    assert older.kustomizations["core"] == "config/default"
    assert RECIPE.modules[0].programs["capi-core"] == "sigs.k8s.io/cluster-api/core"
    assert RECIPE.kustomizations["core"] == "core/config/default"


def test_go_must_be_as_new_as_the_most_demanding_module() -> None:
    assert required_go() == (1, 26, 6)


def test_key_is_stable() -> None:
    assert recipe_key(GO) == recipe_key(GO) == recipe_key(GO, create_recipe(DEFAULT_VERSIONS))
    assert re.fullmatch("[0-9a-f]{16}", recipe_key(GO))


def test_each_set_has_a_key_of_its_own_whatever_it_is_called() -> None:
    assert len({recipe_key(GO, made) for made in RECIPES}) == len(VERSION_SETS)
    assert recipe_key(GO, create_recipe(replace(DEFAULT_VERSIONS, name="other"))) == recipe_key(GO)


@given(st.sampled_from(range(len(RECIPE.modules))), st.text(min_size=1, max_size=5))
def test_key_depends_on_flags_packages_and_compiler(index: int, text: str) -> None:
    changed = list(RECIPE.modules)
    for change in ({"tags": (text,)}, {"variables": {"v": text}}, {"programs": {"p": text}}, {"name": "etcd"}):
        changed[index] = replace(RECIPE.modules[index], **change)
        if changed[index] != RECIPE.modules[index]:
            assert recipe_key(GO, replace(RECIPE, modules=tuple(changed))) != recipe_key(GO)
    assert recipe_key(GO, replace(RECIPE, kustomizations={"core": text})) != recipe_key(GO)
    assert recipe_key(GO + text) != recipe_key(GO)


@pytest.mark.parametrize("file", ["go.mod", "go.sum"])
def test_key_depends_on_module_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    before = recipe_key(GO)
    shutil.copytree(recipes.MODULES, tmp_path / "modules")
    monkeypatch.setattr(recipes, "MODULES", tmp_path / "modules")
    assert recipe_key(GO) == before
    with (tmp_path / "modules" / "etcd" / file).open("a") as content:
        content.write("\n")
    assert recipe_key(GO) != before
