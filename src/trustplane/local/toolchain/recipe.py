"""What is built and how, as plain data: the cache key is computed from it.

Four Go modules, because Kubernetes, etcd, containerd and the registry need conflicting versions of shared libraries.
Kubernetes 1.36, Cluster API 1.14 and CoreDNS agree on theirs, so that most of their code is compiled once.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

KUBERNETES_VERSION = "v1.36.3"
CLUSTER_API_VERSION = "v1.14.2"
CONTAINERD_VERSION = "v2.4.2"
REGISTRY_VERSION = "v3.1.2"

MODULES = Path(__file__).parent / "modules"
CLUSTER_API = "sigs.k8s.io/cluster-api"
KUSTOMIZATIONS = MappingProxyType(  # name of the manifest: kustomization inside the Cluster API module
    {
        "core": "core/config/default",
        "bootstrap": "bootstrap/kubeadm/config/default",
        "control-plane": "controlplane/kubeadm/config/default",
    }
)


@dataclass(frozen=True)
class Module:
    """A folder with go.mod and go.sum, and the programs that are built from it."""

    name: str
    programs: Mapping[str, str]  # name of the program: its main package
    variables: Mapping[str, str] = field(default_factory=dict)  # string variables that the linker sets
    tags: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where go.mod and go.sum are."""
        return MODULES / self.name

    @property
    def flags(self) -> list[str]:
        """Arguments of `go build`."""
        link = ["-s", "-w", *(f"-X {name}={value}" for name, value in self.variables.items())]
        flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", f"-ldflags={' '.join(link)}"]
        return [*flags, f"-tags={','.join(self.tags)}"] if self.tags else flags


def _version(package: str, version: str) -> dict[str, str]:
    """Return the version variables that Kubernetes' and Cluster API's own builds set (hack/lib/version.sh)."""
    major, minor, _ = version.removeprefix("v").split(".")
    return {
        f"{package}.gitVersion": version,
        f"{package}.gitMajor": major,
        f"{package}.gitMinor": minor,
        f"{package}.gitCommit": "unknown",  # a module has no commit; client-go's user agent says the same then
        f"{package}.gitTreeState": "archive",  # Kubernetes' word for sources without a repository
    }


RECIPE = (
    Module(
        "kubernetes",
        programs={
            "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
            "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
            "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
            "kubelet": "k8s.io/kubernetes/cmd/kubelet",
            "kubeadm": "k8s.io/kubernetes/cmd/kubeadm",
            "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
            "kubectl": "k8s.io/kubernetes/cmd/kubectl",
            "capi-core": f"{CLUSTER_API}/core",
            "capi-bootstrap": f"{CLUSTER_API}/bootstrap/kubeadm",
            "capi-control-plane": f"{CLUSTER_API}/controlplane/kubeadm",
            "coredns": "github.com/coredns/coredns",
        },
        variables={
            **_version("k8s.io/component-base/version", KUBERNETES_VERSION),
            **_version("k8s.io/client-go/pkg/version", KUBERNETES_VERSION),
            **_version("sigs.k8s.io/cluster-api/version", CLUSTER_API_VERSION),
        },
    ),
    Module(
        "etcd",
        programs={"etcd": "go.etcd.io/etcd/server/v3", "etcdctl": "go.etcd.io/etcd/etcdctl/v3"},
    ),
    Module(
        "containerd",
        programs={
            name: f"github.com/containerd/containerd/v2/cmd/{name}"
            for name in ("containerd", "ctr", "containerd-shim-runc-v2")
        },
        variables={"github.com/containerd/containerd/v2/version.Version": CONTAINERD_VERSION},
        tags=("no_btrfs", "no_devmapper", "no_zfs"),  # they need C libraries
    ),
    Module(
        "registry",
        programs={"registry": "github.com/distribution/distribution/v3/cmd/registry"},
        variables={"github.com/distribution/distribution/v3/version.version": REGISTRY_VERSION},
    ),
)


def required_go(modules: Iterable[Module] = RECIPE) -> tuple[int, ...]:
    """Return the lowest Go version that every module accepts, such as (1, 26, 6)."""
    lines = (re.search(r"^go (\S+)$", (module.folder / "go.mod").read_text(), re.MULTILINE) for module in modules)
    return max(tuple(int(part) for part in line[1].split(".")) for line in lines if line)


def key(go: str, modules: Iterable[Module] = RECIPE) -> str:
    """Name the result of the recipe: 16 hexadecimal digits over module files, packages, flags and compiler.

    Args:
        go: the compiler's version and target, such as `go1.26.8 linux/amd64`.
        modules: what is built.
    """
    content = hashlib.sha256(repr((go, sorted(KUSTOMIZATIONS.items()))).encode())
    for module in modules:
        content.update(repr((module.name, sorted(module.programs.items()), module.flags)).encode())
        for name in ("go.mod", "go.sum"):
            content.update((module.folder / name).read_bytes())
    return content.hexdigest()[:16]
