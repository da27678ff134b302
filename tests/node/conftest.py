"""A real node for the tests of this folder: the product's node image, booted by cloud-init, with two TLS registries.

The node boots with CA `boot`: a bundle, and the script that unpacks it. Registry `one.test:5001`
has a certificate of CA `one`, and `two.test:5002` of CA `two`; both have no images. Fixtures: `node`, and `shell` (SSH
to it, as the user of TKG Service).
"""

import asyncio
import base64
import contextlib
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncssh
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.apiserver.conftest import apiserver, binaries, client, namespace, shared_apiserver  # noqa: F401  fixtures
from tests.apiserver.controllers.conftest import _definitions  # noqa: F401  fixture
from tests.apiserver.controllers.test_processes import served, trustplane  # noqa: F401  fixtures

from trustplane.api.configuration import TrustedCA
from trustplane.clusterapi import bootstrap
from trustplane.nodes import ssh
from trustplane.nodes.ssh import CommandOutput
from trustplane.trust import bundle, entries
from trustplane.trust.entries import TrustSet
from trustplane_local import image, toolchain, versions
from trustplane_local.image import store
from trustplane_local.podman import DesiredContainer, Mount, Podman, podman_environment
from trustplane_local.stack import STACK_LABEL, Stack

NAME = "node"
INDEX = 10
CERTS = "/etc/ssl/certs"
PORTS = {"one": 5001, "two": 5002}
_KUBELET = "/etc/systemd/system/kubelet.service.d/99-played.conf"
_STATE = "sed 's/.*) //' /proc/$(systemctl show -p MainPID --value kubelet)/stat"
_PLAYED = """\
[Unit]
ConditionPathExists=

[Service]
Restart=no
ExecStart=
ExecStart={command}
"""
_REGISTRY = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: /tmp/{name}}}}}
http: {{addr: "127.0.0.1:{port}", tls: {{certificate: /srv/{name}.crt, key: /srv/{name}.key}}}}
"""
_USER_DATA = """\
## template: jinja
#cloud-config

write_files:
{files}-   path: /run/kubeadm/kubeadm-join-config.yaml
    owner: root:root
    permissions: '0640'
    content: |
      ---
      pods: "{{{{ ds.meta_data.pod_subnet }}}}"
runcmd:
  - "{command}"
  - "touch /run/bootstrapped"
users:
  - name: vmware-system-user
    sudo: ALL=(ALL) NOPASSWD:ALL
    ssh_authorized_keys:
      - {key}
"""


@dataclass(frozen=True)
class Authority:
    """A CA of the tests."""

    name: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def subject(self) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Trustplane test CA {self.name}")])

    def certificate(self) -> str:
        return self._sign(self.subject, self.key, x509.BasicConstraints(ca=True, path_length=None))

    def issue(self, host: str) -> tuple[str, str]:
        """Return a server's certificate and key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self._sign(name, key, names), pem.decode()

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType) -> str:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(extension, critical=False)
        )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@dataclass(frozen=True)
class Node:
    """The node, accessed from inside."""

    stack: Stack
    address: str
    private_key: str
    bundle: str  # the CAs in its bootstrap data
    pems: dict[str, str]  # of the CAs, by name

    def sh(self, script: str, *, check: bool = True) -> str:
        """Run a shell script as root and return its output, errors included."""
        process = subprocess.run(
            ["podman", "exec", "-i", NAME, "sh", "-s"],
            input=script,
            env=podman_environment(self.stack.folder / "podman", os.environ),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        assert not check or process.returncode == 0, process.stdout
        return process.stdout

    def pull(self, registry: str) -> str:
        """Make containerd pull a missing image, and return its message."""
        image = f"{registry}.test:{PORTS[registry]}/trustplane/probe:none"
        return self.sh(f"ctr -n k8s.io images pull --hosts-dir /etc/containerd/certs.d {image}", check=False)

    def path(self, name: str) -> str:
        return f"{CERTS}/tkg-{name}.pem"

    def trusting(self, *names: str) -> dict[str, str]:
        """Return the desired files, for `trust.apply`."""
        return {self.path(name): self.pems[name] for name in names}

    def invocation(self) -> str:
        return self.sh("systemctl show -p InvocationID --value containerd").strip()

    def is_kubelet_paused(self) -> bool:
        """Return whether the process that plays the kubelet is stopped."""
        return self.sh(f"{_STATE} | cut -c 1") == "T\n"

    def await_kubelet(self) -> None:
        """Wait until the process that plays the kubelet runs."""
        self.until(f"{_STATE} | grep -q ^[^T]")

    def until(self, script: str) -> None:
        deadline = time.monotonic() + 60
        while self.sh(f"({script}) >/dev/null 2>&1 && echo yes || true") != "yes\n":
            assert time.monotonic() < deadline, f"{script}: {self.sh(script, check=False)}"
            time.sleep(0.1)


@contextlib.contextmanager
def kubelet(node: Node, command: str) -> Iterator[None]:
    """Have a command play the kubelet within the block, as a unit of that name."""
    node.sh(f"cat >{_KUBELET} <<'END'\n{_PLAYED.format(command=command)}\nEND\nsystemctl daemon-reload")
    node.sh("systemctl start kubelet")
    try:
        yield
    finally:
        node.sh(f"systemctl stop kubelet; systemctl reset-failed kubelet; rm {_KUBELET}; systemctl daemon-reload")


class Shell:
    """An SSH connection whose commands read standard input."""

    def __init__(self, node: ssh.NodeConnection) -> None:
        self.address = node.address
        self.host_key = node.host_key
        self._connection = node._connection

    async def run(self, command: str, *, stdin: str = "", timeout: float = 30.0) -> CommandOutput:
        process = await self._connection.run(command, input=stdin, timeout=timeout, check=False)
        return CommandOutput(
            str(process.stdout), str(process.stderr), -1 if process.returncode is None else process.returncode
        )


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("node")
    stack = _stack(folder)
    podman = Podman(stack)
    asyncio.run(podman.prepare())
    try:
        made = _start(stack, podman)
        _start_registries(made, folder)
        yield made
    finally:
        asyncio.run(podman.remove_everything())
        shutil.rmtree(folder, ignore_errors=True)


def _stack(folder: Path) -> Stack:
    rootfs, images = _image()
    return Stack(
        id=secrets.token_hex(4),
        folder=folder,
        cache=folder,
        bin=folder,
        rootfs=rootfs,
        images=images,
        kubernetes_version="",
        subnet=f"198.19.{192 + secrets.randbelow(64)}.0/24",
        ports={},
    )


def _image() -> tuple[Path, Path]:
    """Return the root file system and the images; those of TRUSTPLANE_TEST_IMAGE, if set."""
    if folder := os.environ.get("TRUSTPLANE_TEST_IMAGE"):
        return Path(folder) / "rootfs", Path(folder) / "images"
    cache = toolchain.default_cache()
    built = image.build_image(cache, toolchain.build_toolchain(cache, _quiet, versions.choose_versions()), _quiet)
    return built.rootfs, built.images


def _quiet(_what: str, _done: int, _of: int) -> None:
    """Progress of a build, not shown."""


def _start(stack: Stack, podman: Podman) -> Node:
    key = asyncssh.generate_private_key("ssh-ed25519")
    authorities = {name: Authority(name) for name in ("boot", "one", "two")}
    pems = {name: one.certificate() for name, one in authorities.items()}
    text = bundle.render_bundle(set_of(boot=pems["boot"]), bundle.MAX_BUDGET_BYTES)
    user_data = _USER_DATA.format(
        files=f"{_file(bootstrap.BUNDLE_FILE, text)}{_file(bootstrap.UNPACK_FILE, bootstrap.UNPACK_SCRIPT)}",
        command=bootstrap.UNPACK_COMMAND,
        key=key.export_public_key().decode().strip(),
    )
    seed = stack.folder / "seed"
    seed.mkdir()
    (seed / "user-data").write_text(user_data)
    (seed / "meta-data").write_text('{"instance-id": "node", "local-hostname": "node", "pod_subnet": "198.19.0.0/26"}')
    for name in PORTS:
        certificate, server_key = authorities[name].issue(f"{name}.test")
        (stack.folder / f"{name}.crt").write_text(certificate)
        (stack.folder / f"{name}.key").write_text(server_key)
    store.link_store(stack.images, stack.folder / "containerd")
    asyncio.run(podman.run(_container(stack)))
    made = Node(stack, stack.address(INDEX), key.export_private_key().decode(), text, pems)
    made.until("test -e /run/bootstrapped && systemctl is-active containerd ssh")
    return made


def set_of(**pems: str) -> TrustSet:
    """Return the set of CAs by name."""
    listed = [TrustedCA(name=name, data=base64.b64encode(pem.encode()).decode()) for name, pem in pems.items()]
    return entries.parse_list(listed).trust


def _file(path: str, content: str) -> str:
    """Return a file of user data, as written by Cluster API."""
    indented = "".join(f"      {line}\n" for line in content.splitlines())
    return f"-   path: {path}\n    owner: root:root\n    permissions: '0644'\n    content: |\n{indented}"


def _container(stack: Stack) -> DesiredContainer:
    return DesiredContainer(
        name=NAME,
        command=("/sbin/init",),
        address=stack.address(INDEX),
        labels={STACK_LABEL: stack.id},
        mounts=(
            Mount(stack.folder / "seed", "/var/lib/cloud/seed/nocloud"),
            Mount(stack.folder / "containerd", "/var/lib/containerd", writable=True),
        ),
        options=(
            *("--hostname", NAME, "--add-host", "one.test:127.0.0.1", "--add-host", "two.test:127.0.0.1"),
            *("--privileged", "--cgroupns=private", "--systemd=false", "--stop-signal", "SIGRTMIN+3"),
            *("--env", "container=podman", "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp"),  # noqa: S108  in the container
        ),
    )


def _start_registries(node: Node, folder: Path) -> None:
    for name, port in PORTS.items():
        files = {f"{name}.yml": _REGISTRY.format(name=name, port=port)}
        files |= {file: (folder / file).read_text() for file in (f"{name}.crt", f"{name}.key")}
        for file, content in files.items():
            node.sh(f"cat >/srv/{file} <<'END'\n{content}\nEND\n")
        node.sh(f"systemd-run --quiet --unit=registry-{name} registry serve /srv/{name}.yml")
        node.until(f"openssl s_client -connect 127.0.0.1:{port} </dev/null")


@pytest.fixture
def new_ca() -> Callable[[str], str]:
    """A function that creates a CA with a name and returns its certificate."""
    return lambda name: Authority(name).certificate()


@pytest.fixture
async def shell(node: Node) -> AsyncIterator[Shell]:
    async with ssh.connect(node.address, node.private_key) as connection:
        yield Shell(connection)


@pytest.fixture
def foreign(node: Node) -> Iterator[Callable[[], str]]:
    """Foreign files in both directories, and a function that returns the state of all foreign files."""
    node.sh(f"""
        printf 'not ours\\n' >{CERTS}/tkg-theirs.pem
        mkdir -p /etc/containerd/certs.d/three.test
        printf 'server = "https://three.test"\\n' >/etc/containerd/certs.d/three.test/hosts.toml
    """)
    yield lambda: node.sh(f"""
        cd {CERTS}; sha256sum tkg-theirs.pem *.crt [A-Z]*.pem; stat -c '%n %Y %a' tkg-theirs.pem *.crt [A-Z]*.pem
        cd /etc/containerd/certs.d; find three.test -type f -exec sha256sum {{}} + -exec stat -c '%n %Y %a' {{}} +
    """)
    node.sh(f"rm -rf {CERTS}/tkg-theirs.pem /etc/containerd/certs.d/three.test")


@pytest.fixture(autouse=True)
def fresh(node: Node) -> None:
    """Reset the node to its state after the bootstrap."""
    node.sh(f"""
        mv {bootstrap.UNPACK_FILE} {bootstrap.BUNDLE_FILE} /root
        rm -rf /etc/trustplane {CERTS}/tkg-* {CERTS}/.trustplane /etc/containerd/certs.d
        find {CERTS} -lname 'tkg-*' -delete
        mkdir /etc/trustplane
        mv /root/{Path(bootstrap.UNPACK_FILE).name} /root/{Path(bootstrap.BUNDLE_FILE).name} /etc/trustplane
        systemctl reset-failed containerd
        {bootstrap.UNPACK_COMMAND}
        tail -n 1 {bootstrap.BOOTED_FILE} | grep -qx complete
    """)
