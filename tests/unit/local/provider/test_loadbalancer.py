from datetime import UTC, datetime

from trustplane.api.keys import Key
from trustplane.api.meta import Metadata
from trustplane_local.podman import run_arguments
from trustplane_local.provider import instance, loadbalancer
from trustplane_local.provider.loadbalancer import Backend
from trustplane_local.provider.objects import CLUSTER_LABEL, CONTROL_PLANE_LABEL, LocalMachine, LocalMachineSpec
from trustplane_local.stack import Stack


def machine(
    name: str, index: int, *, cluster: str = "c1", namespace: str = "a", control_plane: bool = True
) -> LocalMachine:
    labels = {CLUSTER_LABEL: cluster} | ({CONTROL_PLANE_LABEL: ""} if control_plane else {})
    metadata = Metadata(name=name, namespace=namespace, labels=labels)
    return LocalMachine(metadata=metadata, spec=LocalMachineSpec(index=index))


def test_only_the_clusters_own_control_plane_is_behind_its_load_balancer(stack: Stack) -> None:
    leaving = machine("leaving", 14)
    leaving.metadata.deletion_timestamp = datetime(2026, 1, 1, tzinfo=UTC)
    machines = [
        machine("second", 12),
        machine("first", 11),
        machine("worker", 13, control_plane=False),
        machine("other-cluster", 15, cluster="c2"),
        machine("other-namespace", 16, namespace="b"),
        machine("without-address", 0),
        leaving,
    ]
    assert loadbalancer.backends(stack, Key("a", "c1"), machines) == [
        Backend("first", "198.18.64.11"),
        Backend("second", "198.18.64.12"),
    ]


def test_the_configuration_depends_on_the_machines_alone(stack: Stack) -> None:
    machines = [machine("b", 12), machine("a", 11)]
    one = loadbalancer.haproxy_configuration(loadbalancer.backends(stack, Key("a", "c1"), machines))
    other = loadbalancer.haproxy_configuration(loadbalancer.backends(stack, Key("a", "c1"), machines[::-1]))
    assert one == other


def test_api_servers_are_asked_whether_they_are_ready() -> None:
    config = loadbalancer.haproxy_configuration([Backend("m1", "198.18.64.11"), Backend("m2", "198.18.64.12")])
    lines = [line.strip() for line in config.splitlines()]
    assert "bind :6443" in lines
    assert "option httpchk GET /readyz" in lines
    assert lines[-2:] == ["server m1 198.18.64.11:6443", "server m2 198.18.64.12:6443"]
    assert config.endswith("\n")


def test_a_cluster_without_control_plane_has_a_configuration_too() -> None:
    assert "server " not in loadbalancer.haproxy_configuration([]).replace("default-server ", "").replace(
        "timeout server ", ""
    )


def test_load_balancers_and_machines_never_share_a_name() -> None:
    keys = [Key("lb", "a"), Key("lb", "b"), Key("a", "lb"), Key("a", "b")]
    assert not {loadbalancer.load_balancer_name(key) for key in keys} & {instance.container_name(key) for key in keys}


def test_a_load_balancer_has_no_privilege(stack: Stack) -> None:
    arguments = run_arguments(stack, loadbalancer.load_balancer_container(stack, Key("a", "c1"), 10), 1024, 1024)
    assert "--cap-drop=all" in arguments
    assert "--privileged" not in arguments
