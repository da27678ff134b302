"""A toolchain of tiny programs, and a fake mmdebstrap that creates a tiny root file system."""

from pathlib import Path

import pytest

from trustplane_local.image import rootfs
from trustplane_local.toolchain import Toolchain

_KUBEADM = """#!/bin/sh
for name in kube-apiserver:v1 kube-controller-manager:v1 kube-scheduler:v1 kube-proxy:v1 \\
  coredns/coredns:v2 pause:3.9 etcd:3-0; do echo "registry.k8s.io/$name"; done
"""
# Its store has a file for each imported archive.
_CONTAINERD = """#!/bin/sh
of() { sed -n "s/^ *$1 = \\"\\(.*\\)\\"/\\1/p" "$config" | head -1; }
config=$2
mkdir -p "$(of root)" && ln -s "$(of root)" "$(dirname "$config")/root"
touch "$(of address)"
trap 'exit 0' TERM
while :; do sleep 0.01; done
"""
_CTR = """#!/bin/sh
touch "$(dirname "$2")/root/$(basename "$7")"
"""
# Replaces `setpriv ... unshare ... mmdebstrap ... bookworm FOLDER`: confinement requires root.
_MMDEBSTRAP = """#!/bin/sh
while [ "$1" != bookworm ]; do shift; done
echo "mirror: ${3-default}" >&2
[ -e FOLDER/failing ] && { echo "E: Could not resolve 'mirror'" >&2; exit 100; }
mkdir -p "$2" && cp -a FOLDER/system/. "$2"
"""
_SYSTEM = (
    *("bin/busybox", "usr/bin/catatonit", "usr/local/bin/.keep", "var/lib/dpkg/status", "var/lib/dpkg/info/.keep"),
    *("etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_ed25519_key.pub", "etc/ssh/sshd_config"),
    *("etc/hostname", "etc/resolv.conf", "var/lib/dbus/machine-id"),
)


@pytest.fixture
def toolchain(tmp_path: Path) -> Toolchain:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in (*rootfs.PROGRAMS, "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"):
        (folder / name).write_text(name)
    for name in ("etcd", "coredns"):
        (folder / name).write_text(name)
    for name, script in (("kubeadm", _KUBEADM), ("containerd", _CONTAINERD), ("ctr", _CTR)):
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    return Toolchain(folder, tmp_path / "manifests", "v1.36.3", "key")


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the fake; a file `failing` in it makes it fail."""
    folder = tmp_path / "debian"
    for name in _SYSTEM:
        (folder / "system" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "system" / name).write_text("of the building machine")
    (folder / "system/etc/machine-id").write_text("0123")
    for name in ("setpriv", "mmdebstrap"):
        (folder / name).write_text(_MMDEBSTRAP.replace("FOLDER", str(folder)))
        (folder / name).chmod(0o755)
    (folder / "system/var/lib/dpkg/status").write_text("")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("TRUSTPLANE_DEBIAN_MIRROR", raising=False)
    return folder
