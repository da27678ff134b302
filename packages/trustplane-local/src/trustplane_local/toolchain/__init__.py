"""Kubernetes, Cluster API, etcd, containerd, CoreDNS and a registry, built from Go modules into a cache.

See docs/explanation/toolchain.md.
"""

from trustplane_local.toolchain.build import Toolchain, build_toolchain, locate_toolchain
from trustplane_local.toolchain.cache import default_cache
from trustplane_local.toolchain.progress import Progress

__all__ = ["Progress", "Toolchain", "build_toolchain", "default_cache", "locate_toolchain"]
