"""Version sets: what a local stack can be built from, as plain data.

A set pairs a Cluster API with a Kubernetes that it supports. To add a set: create a folder below `toolchain/modules/`
with go.mod and go.sum, add a row to SETS and to docs/reference/versions.md, and run `make matrix`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from trustplane.errors import UserError

VERSIONS_VARIABLE: Final = "TRUSTPLANE_VERSIONS"


@dataclass(frozen=True, kw_only=True)
class Versions:
    """Versions that are built and run together."""

    name: str  # as `--versions` takes it
    kubernetes: str  # of the management cluster and of its clusters, such as v1.36.3
    cluster_api: str
    coredns: str
    etcd: str = "v3.6.14"
    containerd: str = "v2.4.2"
    registry: str = "v3.1.2"
    module: str  # folder below `toolchain/modules/` for Kubernetes, Cluster API and CoreDNS
    core: str = "core"  # folder of the core manager in Cluster API's module; empty (its root) before v1.14


DEFAULT_VERSIONS: Final = Versions(
    name="default",
    kubernetes="v1.36.3",
    cluster_api="v1.14.2",
    coredns="v1.15.0",
    module="kubernetes",
)
VERSION_SETS: Final[Mapping[str, Versions]] = MappingProxyType(
    {
        versions.name: versions
        for versions in (
            DEFAULT_VERSIONS,
            Versions(
                name="capi-1.13",
                kubernetes="v1.35.4",
                cluster_api="v1.13.6",
                coredns="v1.14.7",
                module="kubernetes-1.35",
                core="",
            ),
        )
    }
)


def choose_versions(name: str = "", environment: Mapping[str, str] = os.environ) -> Versions:
    """Return the named set; for an empty name the set in $TRUSTPLANE_VERSIONS, else the default.

    Raises:
        UserError: no set has that name.
    """
    wanted = name or environment.get(VERSIONS_VARIABLE) or DEFAULT_VERSIONS.name
    if wanted in VERSION_SETS:
        return VERSION_SETS[wanted]
    raise UserError(
        f"Unknown version set {wanted!r}",
        why=f"this release of Trustplane has {', '.join(VERSION_SETS)}",
        next_step=f"Choose one of them with --versions or {VERSIONS_VARIABLE}",
    )
