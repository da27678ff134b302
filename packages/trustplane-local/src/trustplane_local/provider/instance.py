"""The container of a machine: its content, and the meaning of its state."""

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
# Not on the container's overlay, which cannot hold the overlays of containerd.
DISKS = {"containerd": "/var/lib/containerd", "kubelet": "/var/lib/kubelet", "etcd": "/var/lib/etcd"}
CLOUD_INIT = "/var/lib/cloud"  # on a mount, to be readable from outside the machine
NEVER_RAN = ("created", "initialized", "configured")


@dataclass(frozen=True)
class InstanceState:
    """The state of a machine's container, and whether to create it.

    Attributes:
        ready: Whether it is running.
        reason: A reason of `conditions`.
        message: What happened, why, and the next step.
        start: Whether it must be created now.
    """

    is_ready: bool
    reason: str
    message: str = ""
    must_create: bool = False


def container_name(key: Key) -> str:
    """Return the container's name. It is unique: namespaces and names in Kubernetes contain no underscore."""
    return f"{key.namespace}_{key.name}"


def provider_id(stack: Stack, key: Key) -> str:
    """Return the provider ID of a machine and its Node."""
    return f"trustplane-local:///{stack.id}/{key.namespace}/{key.name}"


def machine_folder(stack: Stack, key: Key) -> Path:
    """Return the folder of a machine's seed and disks."""
    return stack.folder / "machines" / container_name(key)


def decide_state(
    machine: Machine | None, cluster: Cluster | None, container: ObservedContainer | None, *, bootstrapped: bool
) -> InstanceState:
    """Return the state of a machine, and whether to create its container.

    A container that ran is never restarted: someone killed or stopped it, and Cluster API's MachineHealthCheck must be
    able to notice. A machine whose bootstrap has not ended has no data to lose, and can be created again.

    Args:
        machine: The Machine that owns it.
        cluster: The Machine's Cluster.
        container: The container as podman reports it; its state is `created` before its first start and after a reboot.
        bootstrapped: Whether the machine's disks show that its bootstrap has ended.
    """
    joined = bootstrapped or (machine is not None and bool(machine.status.node_ref.name))
    if container is not None and (joined or container.state not in NEVER_RAN):
        return _running_or_not(container)
    if joined:
        return InstanceState(
            is_ready=False,
            reason=conditions.MISSING,
            message="The container of this machine is gone, and its disk with it. Delete the Machine to replace it; "
            "a MachineHealthCheck replaces it automatically",
        )
    if machine is None or cluster is None:
        return InstanceState(is_ready=False, reason=conditions.WAITING_FOR_OWNER)
    if not cluster.status.initialization.infrastructure_provisioned:
        return InstanceState(is_ready=False, reason=conditions.WAITING_FOR_CLUSTER_INFRASTRUCTURE)
    if not machine.spec.bootstrap.data_secret_name:
        return InstanceState(is_ready=False, reason=conditions.WAITING_FOR_BOOTSTRAP_DATA)
    return InstanceState(is_ready=False, reason=conditions.STARTING, must_create=True)


def _running_or_not(container: ObservedContainer) -> InstanceState:
    if container.is_running:
        return InstanceState(is_ready=True, reason=conditions.RUNNING)
    return InstanceState(
        is_ready=False,
        reason=conditions.STOPPED,
        message=f"The container of this machine is not running (it exited with status {container.exit_code}). Start it "
        "with `trustplane local up`, or delete the Machine to replace it; a MachineHealthCheck replaces it "
        "automatically",
    )


def decode_user_data(data: Mapping[str, str]) -> bytes:
    """Return the bootstrap data of a Secret, unchanged.

    Args:
        data: The Secret's `data`, in base64. Source: docs/book/src/developer/providers/contracts/bootstrap-config.md

    Raises:
        UserError: The Secret has no cloud-init data.
    """
    try:
        format_ = base64.b64decode(data.get("format", ""), validate=True).decode() or "cloud-config"
        value = base64.b64decode(data.get("value", ""), validate=True)
    except (binascii.Error, UnicodeDecodeError):
        format_, value = "unreadable", b""
    if format_ != "cloud-config" or not value:
        raise UserError(
            "Cannot use the bootstrap data",
            why=f"its format is {format_}, or it is empty; machines of the local stack require cloud-config",
            next_step="Use a bootstrap provider for cloud-init, such as kubeadm's with format cloud-config",
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
    """Return whether cloud-init has finished in a machine, successfully or not: it will not run again.

    Source: https://cloudinit.readthedocs.io/en/latest/explanation/boot.html
    """
    return any((place / "cloud" / "instances").glob("*/boot-finished"))


def write_seed(place: Path, user: bytes, meta: Json) -> None:
    """Write cloud-init's NoCloud seed. It contains secrets: only its owner can read it."""
    seed = place / "seed"
    seed.mkdir(parents=True, exist_ok=True, mode=0o700)
    files.write_atomically(seed / "meta-data", json.dumps(meta, indent=1).encode(), mode=0o600)
    files.write_atomically(seed / "user-data", user, mode=0o600)


def renew_disks(place: Path, images: Path) -> None:
    """Create the disks of a machine, empty except for kubeadm's images; remove those of an earlier attempt."""
    for disk in (*DISKS, "cloud"):
        shutil.rmtree(place / disk, ignore_errors=True)
        if disk != "containerd":
            (place / disk).mkdir(parents=True, mode=0o700)
    store.link_store(images, place / "containerd")


def machine_container(stack: Stack, key: Key, index: int) -> DesiredContainer:
    """Return the container of a machine: systemd as its first process, in separate control groups.

    `--systemd=always` does not work: on cgroup v1, such containers share the host's systemd hierarchy, and stopping one
    ends the processes of the others. The mounts of that option are made here, for v1 and v2.
    Pods and machines share a subnet: each machine answers ARP requests for its pods, without delay (proxy ARP).
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
