"""The container images that kubeadm asks for, made of the programs that the toolchain built."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from trustplane.errors import BugError
from trustplane_local.image import oci, packages
from trustplane_local.image.oci import LayerEntry, LayerFile, LayerLink
from trustplane_local.toolchain import Toolchain

_IPTABLES = ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore")


def image_references(toolchain: Toolchain) -> dict[str, str]:
    """Return the references that kubeadm will use, by the image's short name: `pause`, `etcd`, `kube-proxy`, ...

    Raises:
        BugError: kubeadm asks for an image that is not built here.
    """
    command: list[str | Path] = [toolchain.bin / "kubeadm", "config", "images", "list"]
    command += ["--kubernetes-version", toolchain.kubernetes_version]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    named = {line.rpartition(":")[0].rpartition("/")[2]: line for line in lines}
    if named.keys() != _CONTENT.keys():
        raise BugError(
            f"kubeadm {toolchain.kubernetes_version} asks for the images {', '.join(sorted(named))}",
            why=f"made here are {', '.join(sorted(_CONTENT))}",
            next_step="Report it: the toolchain and the node image of this version of Trustplane do not fit",
        )
    return named


def write_image(name: str, reference: str, toolchain: Toolchain, rootfs: Path, folder: Path) -> None:
    """Write the archive `<name>.tar` of one of kubeadm's images into that folder."""
    content, entrypoint = _CONTENT[name]
    oci.write_archive(folder / f"{name}.tar", reference, content(toolchain, rootfs), entrypoint)


def write_hello_image(target: Path, reference: str, rootfs: Path) -> None:
    """Write an image of a web server on port 8080 that greets; for the demonstration's private registry."""
    page = f"<!doctype html><title>hello</title><h1>Hello from {reference}</h1>\n"
    content = [
        LayerFile("bin/busybox", rootfs / "bin/busybox"),
        LayerFile("bin/catatonit", rootfs / "usr/bin/catatonit"),
        LayerFile("www/index.html", page.encode(), 0o644),
    ]
    # As the first process of a container, busybox would ignore SIGTERM, and its pod would take 30 s to end.
    serve = ["/bin/busybox", "httpd", "-f", "-v", "-p", "8080", "-h", "/www"]
    oci.write_archive(target, reference, content, ["/bin/catatonit", "--", *serve])


_Content = Callable[[Toolchain, Path], Iterator[LayerEntry]]


def _program(name: str, path: str) -> _Content:
    """Return the content of an image of one static program."""

    def content(toolchain: Toolchain, _rootfs: Path) -> Iterator[LayerEntry]:
        yield LayerFile(path, toolchain.bin / name)

    return content


def _kubernetes(name: str) -> tuple[_Content, list[str]]:
    return _program(name, f"usr/local/bin/{name}"), [f"/usr/local/bin/{name}"]


def _kube_proxy(toolchain: Toolchain, rootfs: Path) -> Iterator[LayerEntry]:
    """kube-proxy programs the kernel by iptables or nft, and speaks to the same (nft) back end as the node does."""
    yield LayerFile("usr/local/bin/kube-proxy", toolchain.bin / "kube-proxy")
    yield from packages.package_entries(rootfs, ["iptables", "nftables", "conntrack"])
    yield from (LayerLink(f"usr/sbin/{name}", "xtables-nft-multi") for name in _IPTABLES)


def _pause(_toolchain: Toolchain, rootfs: Path) -> Iterator[LayerEntry]:
    """Debian's static catatonit does what Kubernetes' pause does: it waits, and reaps orphans."""
    yield LayerFile("pause", rootfs / "usr/bin/catatonit")


_CONTENT: Mapping[str, tuple[_Content, list[str]]] = MappingProxyType(
    {
        "kube-apiserver": _kubernetes("kube-apiserver"),
        "kube-controller-manager": _kubernetes("kube-controller-manager"),
        "kube-scheduler": _kubernetes("kube-scheduler"),
        "kube-proxy": (_kube_proxy, ["/usr/local/bin/kube-proxy"]),
        "etcd": _kubernetes("etcd"),
        "coredns": (_program("coredns", "coredns"), ["/coredns"]),
        "pause": (_pause, ["/pause", "-P"]),
    }
)
