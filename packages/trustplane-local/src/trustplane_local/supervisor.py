"""What a Supervisor consists of: its processes, their arguments, and how each says that it is ready."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from trustplane.api.configuration import SYSTEM_NAMESPACE
from trustplane_local.process import Program
from trustplane_local.stack import Stack

SERVICE_RANGE = "10.0.0.0/24"
CONTROLLERS = "namespace-controller,garbage-collector-controller,serviceaccount-controller"
FEATURE_GATES = {
    "capi-core": "ClusterTopology=true,MachineTaintPropagation=true",
    "capi-bootstrap": "ClusterTopology=true",
    "capi-control-plane": "ClusterTopology=true,MachineTaintPropagation=true",
}
START_ORDER = ("etcd", "apiserver", "kcm", *FEATURE_GATES, "webhook", "provider", "manager")


@dataclass(frozen=True)
class Part:
    """One process of the Supervisor."""

    program: Program
    ports: tuple[str, ...]  # names in Stack.ports
    probe: str  # URL that answers 200 once the part is ready

    @property
    def name(self) -> str:
        """The name that people use."""
        return self.program.name


def parts(stack: Stack) -> dict[str, Part]:
    """Return all parts by name, in the order in which they are started."""
    makers: dict[str, Callable[[Stack], Part]] = {
        "etcd": _etcd,
        "apiserver": _apiserver,
        "kcm": _controller_manager,
        "webhook": _webhook,
        "provider": _provider,
        "manager": _manager,
    }
    return {name: makers[name](stack) if name in makers else _cluster_api(stack, name) for name in START_ORDER}


def _url(stack: Stack, port: str, path: str, scheme: str = "https") -> str:
    return f"{scheme}://127.0.0.1:{stack.ports[port]}{path}"


def _etcd(stack: Stack) -> Part:
    client, peer = _url(stack, "etcd", ""), _url(stack, "etcd-peer", "")
    pki = stack.pki
    arguments = (
        str(stack.bin / "etcd"),
        "--name=supervisor",
        f"--data-dir={stack.folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=supervisor={peer}",
        "--client-cert-auth",
        "--peer-client-cert-auth",
        *(f"--{prefix}cert-file={pki / 'etcd.crt'}" for prefix in ("", "peer-")),
        *(f"--{prefix}key-file={pki / 'etcd.key'}" for prefix in ("", "peer-")),
        *(f"--{prefix}trusted-ca-file={pki / 'ca.crt'}" for prefix in ("", "peer-")),
    )
    inputs = _files(stack, "ca.crt", "etcd.crt", "etcd.key")
    return Part(Program("etcd", arguments, inputs), ("etcd", "etcd-peer"), f"{client}/readyz")


def _apiserver(stack: Stack) -> Part:
    pki = stack.pki
    arguments = (
        str(stack.bin / "kube-apiserver"),
        "--bind-address=127.0.0.1",
        f"--secure-port={stack.ports['apiserver']}",
        f"--etcd-servers={_url(stack, 'etcd', '')}",
        f"--etcd-cafile={pki / 'ca.crt'}",
        f"--etcd-certfile={pki / 'apiserver-etcd-client.crt'}",
        f"--etcd-keyfile={pki / 'apiserver-etcd-client.key'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        "--authorization-mode=RBAC",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki / 'sa.pub'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        "--endpoint-reconciler-type=none",
        # An old apiserver keeps its port while it drains; nothing here gains by a long goodbye.
        "--shutdown-delay-duration=0s",
    )
    inputs = _files(stack, "ca.crt", "apiserver.crt", "apiserver-etcd-client.crt", "sa.key")
    return Part(Program("apiserver", arguments, inputs), ("apiserver",), _url(stack, "apiserver", "/readyz"))


def _controller_manager(stack: Stack) -> Part:
    pki = stack.pki
    arguments = (
        str(stack.bin / "kube-controller-manager"),
        f"--kubeconfig={stack.kubeconfig}",
        f"--controllers={CONTROLLERS}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--secure-port={stack.ports['kcm']}",
        f"--tls-cert-file={pki / 'kcm.crt'}",
        f"--tls-private-key-file={pki / 'kcm.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--service-account-private-key-file={pki / 'sa.key'}",
    )
    inputs = (stack.kubeconfig, *_files(stack, "kcm.crt", "sa.key"))
    return Part(Program("kcm", arguments, inputs), ("kcm",), _url(stack, "kcm", "/healthz"))


def _cluster_api(stack: Stack, name: str) -> Part:
    ports = tuple(f"{name}-{use}" for use in ("webhook", "health", "diagnostics"))
    webhook, health, diagnostics = (stack.ports[port] for port in ports)
    arguments = (
        str(stack.bin / name),
        f"--kubeconfig={stack.kubeconfig}",
        f"--webhook-port={webhook}",
        f"--webhook-cert-dir={stack.pki}",
        f"--health-addr=127.0.0.1:{health}",
        f"--diagnostics-address=127.0.0.1:{diagnostics}",
        "--insecure-diagnostics",
        f"--feature-gates={FEATURE_GATES[name]}",
    )
    inputs = (stack.kubeconfig, *_files(stack, "tls.crt"))
    program = Program(name, arguments, inputs, _no_proxy(stack, os.environ))
    return Part(program, ports, _url(stack, f"{name}-health", "/readyz", "http"))


def _webhook(stack: Stack) -> Part:
    arguments = (
        "webhook",
        f"--kubeconfig={stack.kubeconfig}",
        f"--port={stack.ports['webhook']}",
        f"--tls-cert={stack.pki / 'tls.crt'}",
        f"--tls-key={stack.pki / 'tls.key'}",
    )
    program = _own(stack, "webhook", arguments, *_files(stack, "tls.crt", "tls.key"))
    return Part(program, ("webhook",), _url(stack, "webhook", "/readyz"))


def _provider(stack: Stack) -> Part:
    program = _own(stack, "provider", ("local", "provider", f"--state={stack.folder}"))
    return Part(program, ("provider-health",), _url(stack, "provider-health", "/readyz", "http"))


def _manager(stack: Stack) -> Part:
    arguments = (
        "manager",
        f"--kubeconfig={stack.kubeconfig}",
        f"--health-port={stack.ports['manager-health']}",
        f"--namespace={SYSTEM_NAMESPACE}",
    )
    return Part(
        _own(stack, "manager", arguments), ("manager-health",), _url(stack, "manager-health", "/readyz", "http")
    )


def _own(stack: Stack, name: str, arguments: tuple[str, ...], *inputs: Path) -> Program:
    """Return a process of Trustplane itself, run by this Python from these sources."""
    return Program(
        name,
        (sys.executable, "-m", "trustplane", *arguments),
        (stack.kubeconfig, *inputs, *_sources()),
        {**_no_proxy(stack, os.environ), "PYTHONPATH": _python_path(os.environ)},
    )


def _python_path(environment: Mapping[str, str]) -> str:
    """Return a PYTHONPATH that finds these sources, of absolute paths: processes change to another folder."""
    first = dict.fromkeys(str(package.parent) for package in _packages())
    rest = [one for one in environment.get("PYTHONPATH", "").split(os.pathsep) if one]
    return os.pathsep.join([*first, *(str(Path(one).absolute()) for one in rest)])


@cache
def _sources() -> tuple[Path, ...]:
    return tuple(sorted(file for package in _packages() for file in package.rglob("*.py")))


def _packages() -> tuple[Path, ...]:
    return tuple(Path(str(files(name))) for name in ("trustplane", "trustplane_local", "gox509"))


def _files(stack: Stack, *names: str) -> tuple[Path, ...]:
    return tuple(stack.pki / name for name in names)


def _no_proxy(stack: Stack, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep a company's proxy away from the stack's own addresses."""
    kept = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    value = ",".join(one for one in (kept, "127.0.0.1", "localhost", stack.subnet, ".test") if one)
    return {"NO_PROXY": value, "no_proxy": value}
