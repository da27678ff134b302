"""What runs on a node comes from the packages of the node image, or from the toolchain."""

from pathlib import Path
from typing import Any

from bare import shell
from bare.machine import owners, required
from bare.needs import ROOT, Machine, missing
from trustplane_local.image import rootfs

SCRIPTS = (
    "src/trustplane/nodes/trust.sh",
    "src/trustplane/nodes/unpack.sh",
    "src/trustplane/diagnosis/evidence/node.sh",
)
COMMANDS = {
    "/sbin/init": "a machine",
    "/usr/sbin/haproxy": "a load balancer",
    "sshd": "controllers.node_write",
    "sudo": "SSH",
}
# What unpack.sh makes, and a word of the unit that it writes.
MADE = {"/etc/trustplane/host-keys.sh", "say"}
CONTENT = {
    "/usr/bin/catatonit": "image pause",
    "/bin/busybox": "image hello",
    "iptables": "kube-proxy",
    "nft": "kube-proxy",
}


def check(root: Path) -> list[str]:
    needs = {name: file for file in SCRIPTS for name in shell.in_file(ROOT / file)} | COMMANDS | CONTENT
    needs = {name: reason for name, reason in needs.items() if name not in rootfs.PROGRAMS and name not in MADE}
    return missing(needs, Machine(owners(root, list(needs)), required(root)), rootfs.IMAGE_PACKAGES)


def test_what_runs_on_a_node_is_installed_there(node: Any) -> None:
    assert check(node.stack.rootfs) == []
