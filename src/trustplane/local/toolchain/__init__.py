"""Kubernetes, Cluster API, etcd, containerd, CoreDNS and a registry, built from Go modules into a cache.

See docs/explanation/toolchain.md.
"""

from trustplane.local.toolchain.build import Toolchain, build, locate
from trustplane.local.toolchain.cache import default_cache
from trustplane.local.toolchain.progress import Progress

__all__ = ["Progress", "Toolchain", "build", "default_cache", "locate"]
