import base64
import json
import stat
from pathlib import Path

import pytest

from trustplane.api.clusterapi import (
    Bootstrap,
    Cluster,
    ClusterStatus,
    Initialization,
    Machine,
    MachineSpec,
    MachineStatus,
    NodeReference,
)
from trustplane.api.keys import Key
from trustplane.errors import UserError
from trustplane_local.podman import ObservedContainer, run_arguments
from trustplane_local.provider import instance
from trustplane_local.stack import Stack

KEY = Key("tenant", "c1-np1-abcde")
READY_CLUSTER = Cluster(status=ClusterStatus(initialization=Initialization(infrastructure_provisioned=True)))
BOOTABLE = Machine(spec=MachineSpec(bootstrap=Bootstrap(data_secret_name="data")))
NODE = Machine(spec=BOOTABLE.spec, status=MachineStatus(node_ref=NodeReference(name="c1-np1-abcde")))


def observed(state: str, exit_code: int = 0) -> ObservedContainer:
    return ObservedContainer(id="1", names=["tenant_c1-np1-abcde"], state=state, exit_code=exit_code)


@pytest.mark.parametrize(
    ("machine", "cluster", "container", "reason"),
    [
        (None, READY_CLUSTER, None, "WaitingForOwner"),
        (BOOTABLE, None, None, "WaitingForOwner"),
        (BOOTABLE, Cluster(), None, "WaitingForClusterInfrastructure"),
        (Machine(), READY_CLUSTER, None, "WaitingForBootstrapData"),
        (NODE, READY_CLUSTER, None, "Missing"),
        (BOOTABLE, READY_CLUSTER, observed("exited", 137), "Stopped"),
        (NODE, READY_CLUSTER, observed("stopped", 137), "Stopped"),
        (NODE, READY_CLUSTER, observed("stopping"), "Stopped"),
    ],
)
def test_a_machine_that_does_not_run_says_why_and_is_not_made(
    machine: Machine | None, cluster: Cluster | None, container: ObservedContainer | None, reason: str
) -> None:
    state = instance.decide_state(machine, cluster, container, bootstrapped=False)
    assert (state.ready, state.start, state.reason) == (False, False, reason)


@pytest.mark.parametrize("state", ["created", "exited", "stopping"])
@pytest.mark.parametrize(("machine", "bootstrapped"), [(NODE, False), (NODE, True), (BOOTABLE, True), (None, True)])
def test_a_node_that_a_reboot_stopped_is_never_made_anew(
    machine: Machine | None, state: str, *, bootstrapped: bool
) -> None:
    found = instance.decide_state(machine, READY_CLUSTER, observed(state), bootstrapped=bootstrapped)
    assert (found.ready, found.start, found.reason) == (False, False, "Stopped")


def test_a_bootstrapped_machine_whose_container_is_gone_is_never_made_anew() -> None:
    found = instance.decide_state(BOOTABLE, READY_CLUSTER, None, bootstrapped=True)
    assert (found.start, found.reason) == (False, "Missing")


@pytest.mark.parametrize("container", [None, observed("created"), observed("initialized")])
def test_a_machine_is_made_when_everything_is_there_and_it_never_ran(container: ObservedContainer | None) -> None:
    assert instance.decide_state(BOOTABLE, READY_CLUSTER, container, bootstrapped=False).start


@pytest.mark.parametrize(("machine", "cluster"), [(None, None), (BOOTABLE, READY_CLUSTER), (NODE, Cluster())])
def test_a_running_container_is_a_ready_machine(machine: Machine | None, cluster: Cluster | None) -> None:
    state = instance.decide_state(machine, cluster, observed("running"), bootstrapped=False)
    assert (state.ready, state.start, state.reason) == (True, False, "Running")


def test_a_stopped_machine_says_what_to_do() -> None:
    message = instance.decide_state(NODE, READY_CLUSTER, observed("exited", 137), bootstrapped=True).message
    assert "status 137" in message
    assert "`trustplane local up`" in message
    assert "MachineHealthCheck" in message


def encoded(text: bytes) -> str:
    return base64.b64encode(text).decode()


def test_bootstrap_data_is_passed_on_byte_by_byte() -> None:
    content = b"## template: jinja\n#cloud-config\n\xff\r\n"
    assert instance.decode_user_data({"value": encoded(content), "format": encoded(b"cloud-config")}) == content
    assert instance.decode_user_data({"value": encoded(content)}) == content


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"value": ""},
        {"value": "no base64!"},
        {"value": encoded(b"{}"), "format": encoded(b"ignition")},
        {"value": encoded(b"{}"), "format": encoded(b"\xff")},
    ],
)
def test_other_bootstrap_data_is_refused_without_showing_it(data: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"bootstrap data cannot be used.*cloud-config"):
        instance.decode_user_data(data)


def test_the_seed_is_for_its_owner_only(tmp_path: Path, stack: Stack) -> None:
    meta = instance.meta_data(stack, KEY, "uid-1", 12)
    instance.write_seed(tmp_path, b"secret", meta)
    files = {file.name: file for file in (tmp_path / "seed").iterdir()}
    assert files["user-data"].read_bytes() == b"secret"
    assert json.loads(files["meta-data"].read_bytes()) == {
        "instance-id": "uid-1",
        "local-hostname": "c1-np1-abcde",
        "ip": "198.18.64.12",
        "pod_subnet": "198.18.65.128/26",
        "provider_id": "trustplane-local:///0a1b2c3d/tenant/c1-np1-abcde",
    }
    assert {stat.S_IMODE(file.stat().st_mode) for file in files.values()} == {0o600}
    assert stat.S_IMODE((tmp_path / "seed").stat().st_mode) == 0o700


def test_a_machine_that_is_made_again_has_empty_disks_but_for_images(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "blob").write_text("layer")
    instance.renew_disks(tmp_path, images)
    (tmp_path / "etcd" / "member").mkdir()
    (tmp_path / "containerd" / "another").write_text("pulled")
    (tmp_path / "cloud" / "instances" / "1").mkdir(parents=True)
    (tmp_path / "cloud" / "instances" / "1" / "boot-finished").touch()
    assert instance.is_bootstrapped(tmp_path)
    instance.renew_disks(tmp_path, images)
    assert not any((tmp_path / "etcd").iterdir())
    assert [file.read_text() for file in (tmp_path / "containerd").iterdir()] == ["layer"]
    assert not instance.is_bootstrapped(tmp_path)


def test_machines_of_equal_names_in_two_namespaces_have_two_containers() -> None:
    names = {instance.container_name(Key(*key)) for key in [("a", "b"), ("b", "a"), ("a-b", "c"), ("a", "b-c")]}
    assert len(names) == 4


def test_a_machine_has_its_own_control_groups_disks_and_address(stack: Stack) -> None:
    arguments = run_arguments(stack, instance.machine_container(stack, KEY, 12), 1048576, 4096)
    text = " ".join(arguments)
    place = stack.folder / "machines" / "tenant_c1-np1-abcde"
    assert "--systemd=false" in arguments
    assert "--cgroupns=private" in arguments
    assert "--ip 198.18.64.12" in text
    assert f"--volume {place}/etcd:/var/lib/etcd:rw" in text
    assert f"--volume {place}/seed:/var/lib/cloud/seed/nocloud:ro" in text
    assert "--add-host registry.corp.test:198.18.64.2 --add-host apps.corp.test:198.18.64.3" in text
    assert arguments[-3:] == ["--rootfs", f"{stack.rootfs}:O", "/sbin/init"]
