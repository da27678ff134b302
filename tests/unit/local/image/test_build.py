import os
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from trustplane.errors import BugError, HostError
from trustplane_local import image
from trustplane_local.image import containers, rootfs
from trustplane_local.image.build import image_key
from trustplane_local.toolchain import Toolchain


def quiet(_step: str, _done: int, _total: int) -> None:
    pass


def test_image_has_a_root_file_system_and_kubeadms_images(toolchain: Toolchain, debian: Path, tmp_path: Path) -> None:
    assert debian
    steps = []
    built = image.build_image(tmp_path, toolchain, lambda step, done, total: steps.append((step, done, total)))
    names = {"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns", "pause", "etcd"}
    assert {file.stem for file in built.images.iterdir()} == names
    assert sorted(one.name for one in built.rootfs.parent.iterdir()) == ["images", "rootfs"]
    assert (built.rootfs / "usr/local/bin/kubelet").read_text() == "kubelet"
    assert steps[0] == ("root file system", 0, 9)
    assert steps[-1] == ("node image", 9, 9)
    assert built.rootfs.parent == tmp_path / "image" / built.key


def test_no_identity_and_nothing_of_the_building_machine(toolchain: Toolchain, debian: Path, tmp_path: Path) -> None:
    assert debian
    system = image.build_image(tmp_path, toolchain, quiet).rootfs
    assert [file.name for file in (system / "etc/ssh").iterdir() if "key" in file.name] == []
    for name in ("etc/machine-id", "etc/hostname", "etc/resolv.conf"):
        assert (system / name).read_bytes() == b""
    assert not (system / "var/lib/dbus/machine-id").exists()


def test_units_are_enabled_and_masked(toolchain: Toolchain, debian: Path, tmp_path: Path) -> None:
    assert debian
    units = image.build_image(tmp_path, toolchain, quiet).rootfs / "etc/systemd/system"
    for name in rootfs.ENABLED:
        assert (units / "multi-user.target.wants" / name).is_symlink()
        assert (units / name).is_file()
    for name in ("haproxy.service", "systemd-udevd.service", "systemd-sysctl.service"):
        assert str((units / name).readlink()) == "/dev/null"


def test_containerd_uses_the_pause_image_that_kubeadm_asks_for(
    toolchain: Toolchain, debian: Path, tmp_path: Path
) -> None:
    assert debian
    system = image.build_image(tmp_path, toolchain, quiet).rootfs
    configuration = tomllib.loads((system / "etc/containerd/config.toml").read_text())
    images = configuration["plugins"]["io.containerd.cri.v1.images"]
    assert images["pinned_images"]["sandbox"] == "registry.k8s.io/pause:3.9"
    assert images["registry"]["config_path"] == "/etc/containerd/certs.d"
    assert not (system / "etc/containerd/config.toml.j2").exists()


def test_second_build_takes_what_is_there(toolchain: Toolchain, debian: Path, tmp_path: Path) -> None:
    first = image.build_image(tmp_path, toolchain, quiet)
    (debian / "failing").touch()
    assert image.build_image(tmp_path, toolchain, quiet) == first


def test_failed_build_leaves_nothing_and_says_why(
    toolchain: Toolchain, debian: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUSTPLANE_DEBIAN_MIRROR", "https://mirror.test/debian")
    (debian / "failing").touch()
    with pytest.raises(HostError) as error:
        image.build_image(tmp_path, toolchain, quiet)
    assert error.value.what.startswith("mmdebstrap failed:\nmirror: https://mirror.test/debian\nE: Could not resolve")
    assert error.value.why == "Debian packages could not be downloaded"
    assert "TRUSTPLANE_DEBIAN_MIRROR" in error.value.next_step
    assert {file.suffix for file in (tmp_path / "image").iterdir()} == {".lock", ".log"}


def test_leftovers_of_dead_processes_are_removed_and_those_of_living_ones_spared(
    toolchain: Toolchain, debian: Path, tmp_path: Path
) -> None:
    assert debian
    dead, living = (tmp_path / "image" / f"other.{pid}.tmp" for pid in (2**22 + 1, os.getppid()))
    for folder in (dead, living):
        (folder / "rootfs").mkdir(parents=True)
    image.build_image(tmp_path, toolchain, quiet)
    assert not dead.exists()
    assert living.exists()


def test_without_mmdebstrap_the_error_says_how_to_get_it(
    toolchain: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="apt install mmdebstrap"):
        image.build_image(tmp_path, toolchain, quiet)


def test_another_toolchain_makes_another_image(toolchain: Toolchain) -> None:
    assert image_key(toolchain) == image_key(toolchain)
    assert image_key(toolchain) != image_key(replace(toolchain, key="other"))


def test_an_image_that_is_not_made_here_is_our_mistake(toolchain: Toolchain) -> None:
    (toolchain.bin / "kubeadm").write_text("#!/bin/sh\necho registry.k8s.io/new:v1\n")
    with pytest.raises(BugError, match="asks for the images new"):
        containers.image_references(toolchain)
