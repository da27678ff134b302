"""The node image of the local stack: a root file system, and the container images that kubeadm requires.

See docs/explanation/toolchain.md.
"""

from trustplane_local.image.build import NodeImage, build_image

__all__ = ["NodeImage", "build_image"]
