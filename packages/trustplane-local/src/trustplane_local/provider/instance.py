"""The container that is a machine: what it is made of, and what its state means."""

import base64
import binascii
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trustplane.api.clusterapi import Cluster, Machine
from trustplane.api.keys import Key
from trustplane.api.meta import Json
from trustplane.errors import UserError
from trustplane_local import files
from trustplane_local.image import store
from trustplane_local.podman import DesiredContainer, Mount, ObservedContainer
from trustplane_local.provider import conditions
from trustplane_local.stack import Stack

ROLE_LABEL = "trustplane.dev/role"
NAMESPACE_LABEL, NAME_LABEL = "trustplane.dev/namespace", "trustplane.dev/name"
MACHINE_ROLE = "machine"

SEED = "/var/lib/cloud/seed/nocloud"
# On the machine's own file system, since overlay file systems (containerd's) cannot be on another overlay.
DISKS = {"containerd": "/var/lib/containerd", "kubelet": "/var/lib/kubelet", "etcd": "/var/lib/etcd"}
CLOUD_INIT = "/var/lib/cloud"  # apart from the root file system, to be seen from outside
NEVER_RAN = ("created", "initialized", "configured")


@dataclass(frozen=True)
class InstanceState:
    """What a machine's container was found to be.

    Args:
        ready: it runs.
        reason: a reason of `conditions`.
        message: what, why, what to do next.
        start: it is to be made now.
    """

    ready: bool
    reason: str
    message: str = ""
    start: bool = False


def container_name(key: Key) -> str:
    """Return a container's name; no namespace or name of Kubernetes has an underscore in it."""
    return f"{key.namespace}_{key.name}"


def provider_id(stack: Stack, key: Key) -> str:
    """Return the provider ID of a machine, and of the Node that it becomes."""
    return f"trustplane-local:///{stack.id}/{key.namespace}/{key.name}"


def machine_folder(stack: Stack, key: Key) -> Path:
    """Return the folder that has a machine's seed and disks."""
    return stack.folder / "machines" / container_name(key)


def decide_state(
    machine: Machine | None, cluster: Cluster | None, container: ObservedContainer | None, *, bootstrapped: bool
) -> InstanceState:
    """Tell what is to be said about a machine, and whether its container is to be made.

    A container that ran is never started again from here: it was killed or stopped for a reason, and Cluster API's
    MachineHealthCheck must be able to see it. Only a machine that has not come to the end of its bootstrap has nothing
    to lose.

    Args:
        machine: its owner.
        cluster: the owner's Cluster.
        container: as podman shows it; a container has the state `created` before its first start and after a reboot.
        bootstrapped: whether its disks say that its bootstrap has ended.
    """
    joined = bootstrapped or (machine is not None and bool(machine.status.node_ref.name))
    if container is not None and (joined or container.state not in NEVER_RAN):
        return _running_or_not(container)
    if joined:
        return InstanceState(
            ready=False,
            reason=conditions.MISSING,
            message="The container of this machine is gone, and its disk with it. Delete the Machine to have it "
            "replaced; a MachineHealthCheck does so by itself",
        )
    if machine is None or cluster is None:
        return InstanceState(ready=False, reason=conditions.WAITING_FOR_OWNER)
    if not cluster.status.initialization.infrastructure_provisioned:
        return InstanceState(ready=False, reason=conditions.WAITING_FOR_CLUSTER_INFRASTRUCTURE)
    if not machine.spec.bootstrap.data_secret_name:
        return InstanceState(ready=False, reason=conditions.WAITING_FOR_BOOTSTRAP_DATA)
    return InstanceState(ready=False, reason=conditions.STARTING, start=True)


def _running_or_not(container: ObservedContainer) -> InstanceState:
    if container.is_running:
        return InstanceState(ready=True, reason=conditions.RUNNING)
    return InstanceState(
        ready=False,
        reason=conditions.STOPPED,
        message=f"The container of this machine does not run (it ended with status {container.exit_code}). Start it "
        "again with `trustplane local up`, or delete the Machine to have it replaced; a MachineHealthCheck does so "
        "by itself",
    )


def decode_user_data(data: Mapping[str, str]) -> bytes:
    """Return the bootstrap data of a Secret, unchanged.

    Args:
        data: the Secret's `data`, in base64. Source: docs/book/src/developer/providers/contracts/bootstrap-config.md

    Raises:
        UserError: the Secret does not hold cloud-init data.
    """
    try:
        form = base64.b64decode(data.get("format", ""), validate=True).decode() or "cloud-config"
        value = base64.b64decode(data.get("value", ""), validate=True)
    except (binascii.Error, UnicodeDecodeError):
        form, value = "unreadable", b""
    if form != "cloud-config" or not value:
        raise UserError(
            "The bootstrap data cannot be used",
            why=f"its format is {form}; machines of the local stack understand cloud-config",
            next_step="Use a bootstrap provider that makes cloud-init data, such as kubeadm's with format cloud-config",
        )
    return value


def meta_data(stack: Stack, key: Key, uid: str, index: int) -> Json:
    """Return the instance metadata; bootstrap data may use each key as `{{ ds.meta_data.<key> }}`.

    Source: https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
    """
    return {
        "instance-id": uid,
        "local-hostname": key.name,
        "ip": stack.address(index),
        "pod_subnet": stack.pod_subnet(index),
        "provider_id": provider_id(stack, key),
    }


def is_bootstrapped(place: Path) -> bool:
    """Tell whether cloud-init has come to its end in a machine, well or not: it does not run a second time.

    Source: https://cloudinit.readthedocs.io/en/latest/explanation/boot.html
    """
    return any((place / "cloud" / "instances").glob("*/boot-finished"))


def write_seed(place: Path, user: bytes, meta: Json) -> None:
    """Write cloud-init's NoCloud seed and make the disks' folders. The seed holds secrets: only its owner reads it."""
    seed = place / "seed"
    seed.mkdir(parents=True, exist_ok=True, mode=0o700)
    files.write_atomically(seed / "meta-data", json.dumps(meta, indent=1).encode(), mode=0o600)
    files.write_atomically(seed / "user-data", user, mode=0o600)


def renew_disks(place: Path, images: Path) -> None:
    """Make the disks of a machine, with kubeadm's images and else empty: what an earlier attempt left is removed."""
    for disk in (*DISKS, "cloud"):
        shutil.rmtree(place / disk, ignore_errors=True)
        if disk != "containerd":
            (place / disk).mkdir(parents=True, mode=0o700)
    store.link_store(images, place / "containerd")


def machine_container(stack: Stack, key: Key, index: int) -> DesiredContainer:
    """Return the container of a machine: systemd as its first process, in control groups of its own.

    Not `--systemd=always`: on cgroup v1 all such containers share the host's systemd hierarchy, and stopping one ends
    the processes of the others. What that option would mount is mounted here, which works on v1 and v2.
    Pods' addresses are of the same subnet as machines': each machine answers for its own (proxy ARP), at once.
    """
    place = machine_folder(stack, key)
    return DesiredContainer(
        name=container_name(key),
        command=("/sbin/init",),
        address=stack.address(index),
        labels={ROLE_LABEL: MACHINE_ROLE, NAMESPACE_LABEL: key.namespace, NAME_LABEL: key.name},
        mounts=(
            Mount(place / "cloud", CLOUD_INIT, writable=True),
            Mount(place / "seed", SEED),
            *(Mount(place / disk, target, writable=True) for disk, target in DISKS.items()),
        ),
        options=(
            *("--hostname", key.name),
            *("--privileged", "--cgroupns=private", "--systemd=false", "--stop-signal", "SIGRTMIN+3"),
            *("--env", "container=podman", "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp"),  # noqa: S108 - in the container
            *("--sysctl", "net.ipv4.ip_forward=1"),
            *("--sysctl", "net.ipv4.conf.eth0.proxy_arp=1", "--sysctl", "net.ipv4.neigh.eth0.proxy_delay=0"),
            *(
                "--add-host",
                f"registry.corp.test:{stack.address(2)}",
                "--add-host",
                f"apps.corp.test:{stack.address(3)}",
            ),
        ),
    )
