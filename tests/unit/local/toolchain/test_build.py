import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trustplane.errors import HostError
from trustplane_local import toolchain
from trustplane_local.toolchain.cache import lock_file
from trustplane_local.toolchain.recipe import RECIPE
from trustplane_local.versions import VERSION_SETS, Versions

PROGRAMS = {name: package for module in RECIPE.modules for name, package in module.programs.items()}
KUBELET = PROGRAMS["kubelet"]


def quiet(_step: str, _done: int, _total: int) -> None:
    pass


def test_first_build_makes_every_program_and_manifest(go: Any, tmp_path: Path) -> None:
    steps = []
    built = toolchain.build_toolchain(tmp_path, lambda step, done, total: steps.append((step, done, total)))

    assert sorted(go.built()) == sorted(PROGRAMS.values())
    assert {file.name for file in built.bin.iterdir()} == PROGRAMS.keys()
    assert subprocess.check_output([built.bin / "kubelet"], text=True).strip() == KUBELET
    rendered = (built.manifests / "control-plane.yaml").read_text()
    assert "kustomize /modules/cluster-api/controlplane/kubeadm/config/default" in rendered
    assert built.kubernetes_version == "v1.36.3"
    assert [done for _, done, _ in steps] == list(range(len(steps)))
    assert steps[-1] == ("toolchain", len(steps) - 1, len(steps) - 1)


def test_another_set_is_built_beside_the_first(go: Any, tmp_path: Path) -> None:
    first = toolchain.build_toolchain(tmp_path, quiet)
    go.built()
    other = VERSION_SETS["capi-1.13"]
    built = toolchain.build_toolchain(tmp_path, quiet, other)

    assert built.bin != first.bin
    assert "sigs.k8s.io/cluster-api" in go.built()
    assert "kustomize /modules/cluster-api/config/default" in (built.manifests / "core.yaml").read_text()
    assert built.kubernetes_version == other.kubernetes
    assert toolchain.build_toolchain(tmp_path, quiet) == first
    assert go.built() == []


@pytest.mark.parametrize("versions", VERSION_SETS.values(), ids=lambda versions: versions.name)
def test_where_a_set_will_be_is_known_before_it_is_built(go: Any, tmp_path: Path, versions: Versions) -> None:
    where = toolchain.locate_toolchain(tmp_path, versions)
    assert not where.bin.exists()
    assert go.built() == []
    assert toolchain.build_toolchain(tmp_path, quiet, versions) == where


def test_second_build_makes_nothing(go: Any, tmp_path: Path) -> None:
    first = toolchain.build_toolchain(tmp_path, quiet)
    go.built()
    assert toolchain.build_toolchain(tmp_path, quiet) == first
    assert go.built() == []


def test_interrupted_build_is_resumed(go: Any, tmp_path: Path) -> None:
    def interrupt(step: str, _done: int, _total: int) -> None:
        if step == "kubelet":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        toolchain.build_toolchain(tmp_path, interrupt)
    before = go.built()
    toolchain.build_toolchain(tmp_path, quiet)
    after = go.built()
    assert KUBELET in after
    assert sorted(before + after) == sorted(PROGRAMS.values())


def test_failed_program_is_never_used_and_built_again(go: Any, tmp_path: Path) -> None:
    go.fail(KUBELET, "".join(f"line {n}\n" for n in range(50)) + "write: no space left on device\n")
    with pytest.raises(HostError) as error:
        toolchain.build_toolchain(tmp_path, quiet)
    assert f"go build {KUBELET} failed" in error.value.what
    assert len(error.value.what.splitlines()) == 21
    assert error.value.why == "the disk is full"
    assert error.value.next_step.startswith("Free some disk space")
    log = Path(error.value.next_step.rpartition(" ")[2])
    assert "line 0\n" in log.read_text()
    assert not (log.parent / "bin" / "kubelet").exists()

    go.mend()
    go.built()
    built = toolchain.build_toolchain(tmp_path, quiet)
    assert KUBELET in go.built()
    assert list(built.bin.parent.glob("*.tmp")) == []


@pytest.mark.parametrize(
    ("message", "why", "next_step"),
    [
        ("dial tcp: lookup proxy: no such host", "could not download", "GOPROXY"),
        ("verifying module: checksum mismatch", "not the one", "go clean -modcache"),
        ("compile: signal: killed", "out of memory", "Free memory"),
        ("open /x: permission denied", "not writable", "GOCACHE"),
        ("syntax error", "output above", "what is done is kept"),
    ],
)
def test_failure_says_why_and_what_to_do(go: Any, tmp_path: Path, message: str, why: str, next_step: str) -> None:
    go.fail(KUBELET, message)
    with pytest.raises(HostError) as error:
        toolchain.build_toolchain(tmp_path, quiet)
    assert why in error.value.why
    assert next_step in error.value.next_step
    assert message in str(error.value)


def truncate(program: Path) -> None:
    os.truncate(program, 5)


def overwrite(program: Path) -> None:
    content = program.read_bytes()
    program.write_bytes(content.replace(b"echo", b"exit"))


@pytest.mark.parametrize("damage", [truncate, overwrite, Path.unlink])
def test_damaged_program_is_built_again(go: Any, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    built = toolchain.build_toolchain(tmp_path, quiet)
    go.built()
    damage(built.bin / "kubelet")
    os.utime(built.bin / "etcd")
    toolchain.build_toolchain(tmp_path, quiet)
    assert go.built() == [KUBELET]
    assert subprocess.check_output([built.bin / "kubelet"], text=True).strip() == KUBELET


def test_unreadable_manifest_counts_as_nothing_built(go: Any, tmp_path: Path) -> None:
    built = toolchain.build_toolchain(tmp_path, quiet)
    go.built()
    os.truncate(built.bin.parent / "manifest.json", 10)
    toolchain.build_toolchain(tmp_path, quiet)
    assert len(go.built()) == len(PROGRAMS)


def test_second_process_waits_and_says_so(go: Any, tmp_path: Path) -> None:
    built = toolchain.build_toolchain(tmp_path, quiet)
    go.built()
    (built.bin / "kubelet").unlink()
    said = threading.Event()
    waiter = threading.Thread(target=toolchain.build_toolchain, args=(tmp_path, lambda *_: said.set()))
    with lock_file(built.bin.parent.with_suffix(".lock"), waiting=pytest.fail):
        waiter.start()
        assert said.wait(10)
        assert go.built() == []
    waiter.join(10)
    assert go.built() == [KUBELET]


def test_unwritable_cache_is_an_error_to_act_on(go: Any, tmp_path: Path) -> None:  # noqa: ARG001 - a Go must be there
    (tmp_path / "toolchain").write_text("a file")
    with pytest.raises(HostError, match="TRUSTPLANE_CACHE"):
        toolchain.build_toolchain(tmp_path, quiet)
