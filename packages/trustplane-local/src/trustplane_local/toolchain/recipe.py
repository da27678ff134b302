"""What is built of a set of versions and how, as plain data: the cache key is computed from it.

Four Go modules, because Kubernetes, etcd, containerd and the registry need conflicting versions of shared libraries.
The Kubernetes, Cluster API and CoreDNS of a set agree on theirs, so that most of their code is compiled once.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trustplane_local.versions import DEFAULT_VERSIONS, Versions

MODULES = Path(__file__).parent / "modules"
CLUSTER_API_MODULE = "sigs.k8s.io/cluster-api"


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


@dataclass(frozen=True)
class Recipe:
    """All that is built of a set of versions."""

    modules: tuple[Module, ...]
    kustomizations: Mapping[str, str]  # name of the manifest: kustomization inside the Cluster API module


def create_recipe(versions: Versions) -> Recipe:
    """Return what is built of that set."""
    modules = (_kubernetes(versions), _ETCD, _containerd(versions), _registry(versions))
    managers = {"core": versions.core, "bootstrap": "bootstrap/kubeadm", "control-plane": "controlplane/kubeadm"}
    return Recipe(modules, {name: f"{folder}/config/default".strip("/") for name, folder in managers.items()})


def _kubernetes(versions: Versions) -> Module:
    programs = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubeadm", "kube-proxy")
    return Module(
        versions.module,
        programs={
            **{name: f"k8s.io/kubernetes/cmd/{name}" for name in (*programs, "kubectl")},
            "capi-core": f"{CLUSTER_API_MODULE}/{versions.core}".rstrip("/"),
            "capi-bootstrap": f"{CLUSTER_API_MODULE}/bootstrap/kubeadm",
            "capi-control-plane": f"{CLUSTER_API_MODULE}/controlplane/kubeadm",
            "coredns": "github.com/coredns/coredns",
        },
        variables={
            **_version("k8s.io/component-base/version", versions.kubernetes),
            **_version("k8s.io/client-go/pkg/version", versions.kubernetes),
            **_version("sigs.k8s.io/cluster-api/version", versions.cluster_api),
        },
    )


_ETCD = Module("etcd", programs={"etcd": "go.etcd.io/etcd/server/v3", "etcdctl": "go.etcd.io/etcd/etcdctl/v3"})


def _containerd(versions: Versions) -> Module:
    package = "github.com/containerd/containerd/v2"
    return Module(
        "containerd",
        programs={name: f"{package}/cmd/{name}" for name in ("containerd", "ctr", "containerd-shim-runc-v2")},
        variables={f"{package}/version.Version": versions.containerd},
        tags=("no_btrfs", "no_devmapper", "no_zfs"),  # they need C libraries
    )


def _registry(versions: Versions) -> Module:
    package = "github.com/distribution/distribution/v3"
    return Module(
        "registry",
        programs={"registry": f"{package}/cmd/registry"},
        variables={f"{package}/version.version": versions.registry},
    )


RECIPE = create_recipe(DEFAULT_VERSIONS)


def required_go(wanted: Recipe = RECIPE) -> tuple[int, ...]:
    """Return the lowest Go version that every module accepts, such as (1, 26, 6)."""
    lines = (re.search(r"^go (\S+)$", (one.folder / "go.mod").read_text(), re.MULTILINE) for one in wanted.modules)
    return max(tuple(int(part) for part in line[1].split(".")) for line in lines if line)


def recipe_key(go: str, wanted: Recipe = RECIPE) -> str:
    """Name the result of a recipe: 16 hexadecimal digits over module files, packages, flags and compiler.

    Args:
        go: the compiler's version and target, such as `go1.26.8 linux/amd64`.
        wanted: what is built.
    """
    content = hashlib.sha256(repr((go, sorted(wanted.kustomizations.items()))).encode())
    for module in wanted.modules:
        content.update(repr((module.name, sorted(module.programs.items()), module.flags)).encode())
        for name in ("go.mod", "go.sum"):
            content.update((module.folder / name).read_bytes())
    return content.hexdigest()[:16]
