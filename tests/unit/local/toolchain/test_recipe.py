import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.local.toolchain import recipe
from trustplane.local.toolchain.recipe import RECIPE, Module, key, required_go

GO = "go1.26.8 linux/amd64"


@pytest.mark.parametrize("module", RECIPE, ids=lambda module: module.name)
def test_every_program_is_a_tool_of_its_module(module: Module) -> None:
    content = (module.folder / "go.mod").read_text()
    block = re.search(r"^tool \((.*?)^\)", content, re.MULTILINE | re.DOTALL)
    tools = block[1].split() if block else re.findall(r"^tool (\S+)$", content, re.MULTILINE)
    assert sorted(tools) == sorted(module.programs.values())


def test_versions_told_to_programs_are_those_required() -> None:
    modules = {module.name: (module.folder / "go.mod").read_text() for module in RECIPE}
    assert f"k8s.io/kubernetes {recipe.KUBERNETES_VERSION} " in modules["kubernetes"]
    assert f"sigs.k8s.io/cluster-api {recipe.CLUSTER_API_VERSION} " in modules["kubernetes"]
    assert f"github.com/containerd/containerd/v2 {recipe.CONTAINERD_VERSION} " in modules["containerd"]
    assert f"github.com/distribution/distribution/v3 {recipe.REGISTRY_VERSION} " in modules["registry"]


def test_module_files_are_never_changed_by_a_build() -> None:
    assert all("-mod=readonly" in module.flags for module in RECIPE)


def test_kubelet_is_told_its_version() -> None:
    assert "-X k8s.io/component-base/version.gitVersion=v1.36.3" in " ".join(RECIPE[0].flags)


def test_go_must_be_as_new_as_the_most_demanding_module() -> None:
    assert required_go() == (1, 26, 6)


def test_key_is_stable() -> None:
    assert key(GO) == key(GO)
    assert re.fullmatch("[0-9a-f]{16}", key(GO))


@given(st.sampled_from(range(len(RECIPE))), st.text(min_size=1, max_size=5))
def test_key_depends_on_flags_packages_and_compiler(index: int, text: str) -> None:
    changed = list(RECIPE)
    for change in ({"tags": (text,)}, {"variables": {"v": text}}, {"programs": {"p": text}}, {"name": "etcd"}):
        changed[index] = replace(RECIPE[index], **change)
        if changed[index] != RECIPE[index]:
            assert key(GO, changed) != key(GO)
    assert key(GO + text) != key(GO)


@pytest.mark.parametrize("file", ["go.mod", "go.sum"])
def test_key_depends_on_module_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    before = key(GO)
    shutil.copytree(recipe.MODULES, tmp_path / "modules")
    monkeypatch.setattr(recipe, "MODULES", tmp_path / "modules")
    assert key(GO) == before
    with (tmp_path / "modules" / "etcd" / file).open("a") as content:
        content.write("\n")
    assert key(GO) != before
