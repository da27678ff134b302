from pathlib import Path

import pytest

from trustplane_local import supervisor
from trustplane_local.stack import PORTS, Stack


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(
        id="0a1b2c3d",
        folder=tmp_path / "state",
        cache=tmp_path / "cache",
        bin=tmp_path / "bin",
        rootfs=tmp_path / "rootfs",
        images=tmp_path / "images",
        kubernetes_version="v1.36.3",
        subnet="198.18.0.0/18",
        ports={name: 20000 + index for index, name in enumerate(PORTS)},
    )


def test_every_port_of_a_stack_belongs_to_exactly_one_part(stack: Stack) -> None:
    used = [name for part in supervisor.parts(stack).values() for name in part.ports]
    assert sorted(used) == sorted(PORTS)


def test_each_part_is_probed_at_one_of_its_ports(stack: Stack) -> None:
    for part in supervisor.parts(stack).values():
        port = int(part.probe.split(":")[2].partition("/")[0])
        assert port in {stack.ports[name] for name in part.ports}


def test_trustplanes_processes_have_the_expected_command_lines(stack: Stack) -> None:
    parts = supervisor.parts(stack)
    assert parts["manager"].program.arguments[1:] == (
        "-m",
        "trustplane",
        "manager",
        f"--kubeconfig={stack.kubeconfig}",
        f"--health-port={stack.ports['manager-health']}",
        "--namespace=trustplane-system",
    )
    assert parts["webhook"].program.arguments[3:] == (
        "webhook",
        f"--kubeconfig={stack.kubeconfig}",
        f"--port={stack.ports['webhook']}",
        f"--tls-cert={stack.pki / 'tls.crt'}",
        f"--tls-key={stack.pki / 'tls.key'}",
    )
    assert parts["provider"].program.arguments[3:] == ("local", "provider", f"--state={stack.folder}")


def test_feature_gates_of_cluster_api(stack: Stack) -> None:
    parts = supervisor.parts(stack)
    expected = {
        "capi-core": {"ClusterTopology", "MachineTaintPropagation"},
        "capi-control-plane": {"ClusterTopology", "MachineTaintPropagation"},
    }
    for name, gates in expected.items():
        (flag,) = [argument for argument in parts[name].program.arguments if argument.startswith("--feature-gates=")]
        assert {gate.partition("=")[0] for gate in flag.partition("=")[2].split(",")} == gates


def test_two_stacks_share_only_programs(stack: Stack, tmp_path: Path) -> None:
    ports = {name: 30000 + index for index, name in enumerate(PORTS)}
    other = Stack(
        **{**{f: getattr(stack, f) for f in stack.__struct_fields__}, "folder": tmp_path / "b", "ports": ports}
    )
    for name, part in supervisor.parts(stack).items():
        shared = set(part.program.arguments) & set(supervisor.parts(other)[name].program.arguments)
        assert not any(str(stack.folder) in argument for argument in shared)
        assert not any(str(port) in argument for argument in shared for port in stack.ports.values())


def test_the_stacks_addresses_bypass_a_companys_proxy(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    environment = supervisor.parts(stack)["capi-core"].program.environment
    assert environment["NO_PROXY"] == environment["no_proxy"]
    assert {"intranet.example", "127.0.0.1", stack.subnet} <= set(environment["NO_PROXY"].split(","))


def test_command_lines_contain_no_secrets(stack: Stack) -> None:
    for part in supervisor.parts(stack).values():
        assert not any("token" in argument or "password" in argument for argument in part.program.arguments)
