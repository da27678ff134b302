"""The root file system of machines: Debian by mmdebstrap, our programs, and the files below `files/`."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import jinja2

from trustplane.errors import HostError
from trustplane_local.toolchain import step
from trustplane_local.toolchain.step import KnownFailure

SUITE = "bookworm"
IMAGE_PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "libpam-systemd"),
    *("cloud-init", "openssh-server", "sudo"),
    *("ca-certificates", "openssl"),
    *("iptables", "nftables", "conntrack", "iproute2", "ethtool", "socat", "iputils-ping", "netbase"),
    *("kmod", "mount", "procps"),
    *("runc", "containernetworking-plugins"),
    "haproxy",  # load balancers run from this root file system, too
    *("catatonit", "busybox-static"),  # content of container images
)
PROGRAMS = ("kubelet", "kubeadm", "kubectl", "containerd", "containerd-shim-runc-v2", "ctr", "registry")
ENABLED = ("containerd.service", "kubelet.service")
MASKED = (
    # Hardware, the kernel's settings and its file systems are the host's business.
    *("systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket"),
    *("systemd-udev-trigger.service", "systemd-udev-settle.service", "systemd-modules-load.service"),
    *("kmod-static-nodes.service", "systemd-sysctl.service", "systemd-remount-fs.service", "systemd-pstore.service"),
    *("systemd-random-seed.service", "systemd-journald-audit.socket", "systemd-binfmt.service"),
    *("dev-hugepages.mount", "dev-mqueue.mount", "sys-fs-fuse-connections.mount", "sys-kernel-config.mount"),
    *("sys-kernel-debug.mount", "sys-kernel-tracing.mount", "proc-sys-fs-binfmt_misc.automount"),
    # No console, no hot-plugged devices.
    *("getty.target", "console-getty.service", "getty@tty1.service", "systemd-ask-password-wall.path"),
    *("systemd-ask-password-console.path", "cloud-init-hotplugd.socket", "systemd-update-utmp.service"),
    # A machine is replaced, not maintained.
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"),
    *("e2scrub_reap.service", "systemd-tmpfiles-clean.timer"),
    # Load balancers run haproxy themselves.
    "haproxy.service",
)
# Identity, which every machine makes for itself, and what mmdebstrap took from the building machine.
REMOVED = ("etc/ssh/ssh_host_*", "etc/resolv.conf", "etc/hostname", "var/lib/dbus/machine-id", "var/log/*.log")
EMPTIED = ("etc/machine-id", "etc/resolv.conf", "etc/hostname")

# mmdebstrap mounts /proc, /sys and parts of /dev in the folder, and starts many processes. In namespaces of its own,
# all of them are gone the moment that it, or this process, dies; so that leftovers are plain files.
_CONFINED = ("setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")

MMDEBSTRAP_FAILURES = (
    step.DISK_FULL,
    KnownFailure(
        "Could not (resolve|connect)|Temporary failure|Unable to connect|Failed to fetch|Connection (failed|timed)",
        "Debian packages could not be downloaded",
        "Check the network, and set TRUSTPLANE_DEBIAN_MIRROR if this machine needs its own mirror, then run it again",
    ),
    KnownFailure(
        "NO_PUBKEY|not signed|EXPKEYSIG",
        "the packages' signatures could not be verified",
        "Install debian-archive-keyring",
    ),
    KnownFailure(
        "unshare|newuidmap|must be root|Operation not permitted",
        "this machine does not allow to make a root file system",
        "Run it as root, in a machine or container that may mount file systems",
    ),
)


def build_rootfs(target: Path, *, programs: Path, values: Mapping[str, str], log: IO[bytes]) -> None:
    """Make the root file system.

    Args:
        target: the folder, which must not exist.
        programs: folder of the toolchain's programs.
        values: what the templates (`*.j2`) among the files name.
        log: where mmdebstrap's messages go.

    Raises:
        HostError: mmdebstrap is missing or failed; says what to do.
    """
    _bootstrap(target, log)
    install_files(target, programs=programs, values=values)


def _bootstrap(target: Path, log: IO[bytes]) -> None:
    """Install the packages by mmdebstrap, without manuals and translations."""
    if not shutil.which("mmdebstrap"):
        raise HostError(
            "No program mmdebstrap on this machine",
            why="the root file system of nodes is made with it",
            next_step="Install it: apt install mmdebstrap",
        )
    excluded = ("man", "locale", "info", "lintian")
    command: list[str | Path] = [*_CONFINED, "mmdebstrap", "--variant=minbase", f"--include={','.join(IMAGE_PACKAGES)}"]
    command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in excluded]
    command += ["--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    command += [SUITE, target]
    if mirror := os.environ.get("TRUSTPLANE_DEBIAN_MIRROR"):
        command.append(mirror)
    step.run_step("mmdebstrap", command, folder=target.parent, log=log, causes=MMDEBSTRAP_FAILURES)


def install_files(rootfs: Path, *, programs: Path, values: Mapping[str, str]) -> None:
    """Put our programs, files and choice of units into a Debian root file system."""
    for name in PROGRAMS:
        shutil.copy2(programs / name, rootfs / "usr/local/bin" / name)
    _install_files(rootfs, values)
    for pattern in REMOVED:
        for file in rootfs.glob(pattern):
            file.unlink()
    for name in EMPTIED:
        (rootfs / name).write_bytes(b"")
    units = rootfs / "etc/systemd/system"
    for name in MASKED:
        _link(units / name, "/dev/null")
    for name in ENABLED:
        _link(units / "multi-user.target.wants" / name, f"/etc/systemd/system/{name}")


def _install_files(rootfs: Path, values: Mapping[str, str]) -> None:
    source = Path(__file__).parent / "files"
    templates = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - configuration files, not HTML
    for file in sorted(source.rglob("*")):
        if file.is_file():
            target = rootfs / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_text()
            if target.suffix == ".j2":
                target = target.with_suffix("")
                text = templates.from_string(text).render(values)
            target.write_text(text)
            target.chmod(0o644)


def _link(link: Path, target: str) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)
