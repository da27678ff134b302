"""What machines of the local stack are made of: a root file system, and the container images that kubeadm asks for.

See docs/explanation/toolchain.md.
"""

from trustplane_local.image.build import NodeImage, build_image

__all__ = ["NodeImage", "build_image"]
