"""A local stack's identity, folders, ports and addresses, stored in `stack.json`.

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
    """A local stack. `up` writes it once; all processes of the stack read it; it never changes."""

    id: str  # 8 hexadecimal digits; value of LABEL on every container, and part of the network's name
    folder: Path  # the state folder: everything that the stack writes, except the build cache
    cache: Path  # the build cache, shared by stacks
    bin: Path  # folder of the built programs
    rootfs: Path  # root file system of nodes, load balancers and registries
    images: Path  # containerd's store with kubeadm's images; machines get hard links to its files
    kubernetes_version: str  # such as v1.36.3
    versions: str = DEFAULT_VERSIONS.name  # name of its version set
    subnet: str  # a /18
    ports: dict[str, int]  # a port on 127.0.0.1 for each name in PORTS

    @property
    def network(self) -> str:
        """The name of the podman network."""
        return f"tp-{self.id}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig for the Supervisor."""
        return self.folder / "kubeconfig"

    @property
    def pki(self) -> Path:
        """The folder of the Supervisor's keys and certificates: `ca.crt`, `tls.crt`, `tls.key` (webhooks) and more."""
        return self.folder / "pki"

    def address(self, index: int) -> str:
        """Return an address by index: 1 is the gateway, 2 and 3 registries, FIRST_INDEX to LAST_INDEX machines."""
        return str(ipaddress.ip_network(self.subnet)[index])

    def pod_subnet(self, index: int) -> str:
        """Return the /26 for the pods of the machine at an index."""
        first = ipaddress.ip_network(self.subnet)[256 + (index - FIRST_INDEX) * 64]
        return f"{first}/26"


def default_folder() -> Path:
    """Return the default state folder."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(os.environ.get("TRUSTPLANE_STATE") or Path(base) / "trustplane" / "default")


def read_stack(folder: Path) -> Stack | None:
    """Return the stack of a state folder, or None if the folder has none.

    Raises:
        msgspec.MsgspecError: The file is not a valid description of a stack.
    """
    file = folder / STACK_FILE
    return msgspec.json.decode(file.read_bytes(), type=Stack, dec_hook=_decode) if file.exists() else None


def _decode(kind: type, value: str) -> object:
    return kind(value)
