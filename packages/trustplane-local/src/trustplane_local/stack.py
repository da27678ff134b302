"""What one local stack is: its identity, folder, ports and addresses, kept in `stack.json`.

Address plan of a stack's /18 (one podman bridge network, see docs/explanation/local-stack.md):

| addresses | use |
|---|---|
| first + 1 | gateway: the bridge on this machine |
| first + 2, first + 3 | the two private registries |
| first + 10 ... first + 254 | machines and load balancers, by their index 10 ... 254 |
| first + 256 ... | pods: one /26 for each index |
"""

import ipaddress
import os
from pathlib import Path

import msgspec

from trustplane.api import configuration
from trustplane_local.versions import DEFAULT_VERSIONS

STACK_LABEL = "trustplane.dev/stack"
STACK_FILE = "stack.json"
SYSTEM_NAMESPACE = configuration.SYSTEM_NAMESPACE
FIRST_INDEX, LAST_INDEX = 10, 254

PORTS = (
    "etcd",
    "etcd-peer",
    "apiserver",
    "kcm",
    "capi-core-webhook",
    "capi-core-health",
    "capi-core-diagnostics",
    "capi-bootstrap-webhook",
    "capi-bootstrap-health",
    "capi-bootstrap-diagnostics",
    "capi-control-plane-webhook",
    "capi-control-plane-health",
    "capi-control-plane-diagnostics",
    "provider-health",
    "manager-health",
    "webhook",
)


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """One local stack. Written once by `up`, read by every process of it; never changed afterwards."""

    id: str  # 8 hexadecimal digits; value of LABEL on every container, and part of the network's name
    folder: Path  # everything the stack writes, except the build cache
    cache: Path  # the build cache, shared by stacks
    bin: Path  # folder of the built programs
    rootfs: Path  # root file system of nodes, load balancers and registries
    images: Path  # containerd's store with kubeadm's images, which machines get linked
    kubernetes_version: str  # such as v1.36.3
    versions: str = DEFAULT_VERSIONS.name  # name of the set that it is made of
    subnet: str  # a /18
    ports: dict[str, int]  # one of each name in PORTS, on 127.0.0.1

    @property
    def network(self) -> str:
        """Name of the podman network."""
        return f"tp-{self.id}"

    @property
    def kubeconfig(self) -> Path:
        """Administrator's kubeconfig of the Supervisor."""
        return self.folder / "kubeconfig"

    @property
    def pki(self) -> Path:
        """Folder of the Supervisor's keys and certificates: `ca.crt`, `tls.crt`, `tls.key` (for webhooks) and more."""
        return self.folder / "pki"

    def address(self, index: int) -> str:
        """Return the address at that index: 1 gateway, 2 and 3 registries, FIRST_INDEX to LAST_INDEX machines."""
        return str(ipaddress.ip_network(self.subnet)[index])

    def pod_subnet(self, index: int) -> str:
        """Return the /26 of the pods of the machine with that index."""
        first = ipaddress.ip_network(self.subnet)[256 + (index - FIRST_INDEX) * 64]
        return f"{first}/26"


def default_folder() -> Path:
    """Return the folder of the stack that commands mean when none is named."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(os.environ.get("TRUSTPLANE_STATE") or Path(base) / "trustplane" / "default")


def read_stack(folder: Path) -> Stack | None:
    """Return the stack kept in that folder, or None where none was started.

    Raises:
        msgspec.MsgspecError: the file is not one that a stack wrote.
    """
    file = folder / STACK_FILE
    return msgspec.json.decode(file.read_bytes(), type=Stack, dec_hook=_decode) if file.exists() else None


def _decode(kind: type, value: str) -> object:
    return kind(value)
