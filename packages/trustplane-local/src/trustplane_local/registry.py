"""Two private registries, each with TLS by a private CA of its own and one user with a password.

Each is the distribution registry in a container of the stack's network. Everything that it is made of is kept in
`<stack folder>/registries/<name>` and made again only where it is missing.
"""

import asyncio
import base64
import datetime as dt
import ipaddress
import json
import secrets
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import aiohttp
import bcrypt
import yaml

from trustplane.errors import HostError, TransientError
from trustplane.kube.tasks import together
from trustplane_local import files, pki, readiness
from trustplane_local.image import containers
from trustplane_local.podman import DesiredContainer, Mount, ObservedContainer, Podman
from trustplane_local.stack import Stack

READY_SECONDS = 30.0
USERNAME = "robot$puller"  # the form of Harbor's robot accounts
_NAMES = ("corp", "apps")  # at address index 2 and 3
_INSIDE = "/etc/trustplane-registry"
_STORAGE = "/var/lib/registry"
_INDEX = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class PrivateRegistry:
    """One private registry."""

    name: str  # of its container and folder
    folder: Path
    host: str  # DNS name on nodes; port 443
    address: str  # in the stack's network; also in its certificate
    ca: Path  # PEM certificate of its CA
    ca_name: str  # under which people add that CA to their trust
    username: str
    password_file: Path
    image: str  # an image in it that runs: a web server on port 8080

    def password(self) -> str:
        """Read the user's password."""
        return self.password_file.read_text()


def registries_of(stack: Stack) -> list[PrivateRegistry]:
    """Return the stack's registries, started or not."""
    return [_registry(stack, name, stack.address(index)) for index, name in enumerate(_NAMES, start=2)]


def _registry(stack: Stack, name: str, address: str) -> PrivateRegistry:
    folder = stack.folder / "registries" / name
    host = "registry.corp.test" if name == "corp" else f"{name}.corp.test"
    return PrivateRegistry(
        name=f"registry-{name}",
        folder=folder,
        host=host,
        address=address,
        ca=folder / "pki" / "ca.crt",
        ca_name=f"{name}-root",
        username=USERNAME,
        password_file=folder / "password",
        image=f"{host}/apps/hello:1.0",
    )


async def start_registries(stack: Stack, podman: Podman) -> None:
    """Start the registries that do not run, and put their image in where it is missing.

    Raises:
        TrustplaneError: one of them does not come up.
    """
    for registry in registries_of(stack):
        prepare_registry(registry)
    await together(*(_start(registry, stack, podman) for registry in registries_of(stack)))


async def _start(registry: PrivateRegistry, stack: Stack, podman: Podman) -> None:
    await run_registry(registry, podman)
    await _fill(registry, stack)


def registry_configuration() -> str:
    """Return the registry's configuration, of paths inside the container.

    Source: https://distribution.github.io/distribution/about/configuration/
    """
    document = {
        "version": 0.1,
        "log": {"level": "info", "formatter": "json"},
        "storage": {"filesystem": {"rootdirectory": _STORAGE}, "delete": {"enabled": True}},
        "http": {"addr": ":443", "tls": {"certificate": f"{_INSIDE}/tls.crt", "key": f"{_INSIDE}/tls.key"}},
        "auth": {"htpasswd": {"realm": "private registry", "path": f"{_INSIDE}/htpasswd"}},
    }
    return yaml.safe_dump(document)


def registry_leaf(registry: PrivateRegistry) -> pki.Leaf:
    """Return the certificate that a registry serves."""
    return pki.Leaf("tls", registry.host, hosts=(registry.host, registry.address))


def prepare_registry(registry: PrivateRegistry) -> None:
    """Make what registry and clients read, where it is missing or wrong: certificates, password, configuration."""
    pki.keep_certificates(registry.folder / "pki", registry.ca_name, [registry_leaf(registry)], dt.datetime.now(dt.UTC))
    (registry.folder / "data").mkdir(exist_ok=True)
    if not registry.password_file.exists():
        files.write_atomically(registry.password_file, secrets.token_urlsafe(24).encode(), mode=0o600)
    password, entries = registry.password().encode(), registry.folder / "htpasswd"
    if not entries.exists() or not bcrypt.checkpw(password, entries.read_bytes().partition(b":")[2].strip()):
        digest = bcrypt.hashpw(password, bcrypt.gensalt(rounds=8))
        files.write_atomically(entries, f"{registry.username}:{digest.decode()}\n".encode(), mode=0o600)
    files.write_atomically(registry.folder / "config.yml", registry_configuration().encode())
    files.write_atomically(registry.folder / "auth.json", _auth_file(registry), mode=0o600)


def _auth_file(registry: PrivateRegistry) -> bytes:
    """Return skopeo's credentials. Source: containers-auth.json(5)."""
    login = base64.b64encode(f"{registry.username}:{registry.password()}".encode()).decode()
    return json.dumps({"auths": {registry.address: {"auth": login}}}).encode()


async def run_registry(registry: PrivateRegistry, podman: Podman) -> None:
    """Start the container unless it runs with the present files, which it reads at its start."""
    wanted = registry_container(registry)
    if not is_current(await podman.find(registry.name), wanted):
        await podman.run(wanted)


def is_current(present: ObservedContainer | None, wanted: DesiredContainer) -> bool:
    """Tell whether a container runs, and began with the files that are wanted: its labels name their revision."""
    return present is not None and present.is_running and wanted.labels.items() <= (present.labels or {}).items()


def registry_container(registry: PrivateRegistry) -> DesiredContainer:
    """Return the container of a registry."""
    sources = {
        "config.yml": registry.folder / "config.yml",
        "htpasswd": registry.folder / "htpasswd",
        "tls.crt": registry.folder / "pki" / "tls.crt",
        "tls.key": registry.folder / "pki" / "tls.key",
    }
    return DesiredContainer(
        name=registry.name,
        command=("/usr/local/bin/registry", "serve", f"{_INSIDE}/config.yml"),
        address=registry.address,
        labels={"trustplane.dev/role": "registry", "trustplane.dev/revision": files.digest_of_files(sources.values())},
        mounts=(
            *(Mount(source, f"{_INSIDE}/{name}") for name, source in sources.items()),
            Mount(registry.folder / "data", _STORAGE, writable=True),
        ),
        # the registry sends traces to a collector on localhost unless told otherwise
        options=(
            *("--hostname", registry.name, "--systemd=false", "--env", "OTEL_TRACES_EXPORTER=none"),
            f"--mac-address={hardware_address(registry.address)}",
        ),
    )


def hardware_address(address: str) -> str:
    """Return the MAC address, locally administered, of a registry: a new one at each start would be asked for late.

    Nodes keep the old one of an address for about ten seconds in their neighbour tables (RFC 4861, 7.3.3).
    """
    return "02:54:" + ":".join(f"{one:02x}" for one in ipaddress.IPv4Address(address).packed)


async def _has_image(registry: PrivateRegistry, path: str) -> bool:
    """Wait until the registry answers, and return whether it has a manifest at that path."""
    deadline = asyncio.get_running_loop().time() + READY_SECONDS
    async with _session(registry) as session:
        while True:
            trouble = ""
            try:
                async with session.head(f"https://{registry.address}{path}", headers={"Accept": _INDEX}) as answer:
                    if answer.status in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
                        return answer.status == HTTPStatus.OK
                    trouble = f"it answers {answer.status} {answer.reason}"
            except (aiohttp.ClientError, TimeoutError) as error:
                trouble = str(error) or "it does not answer"
            if asyncio.get_running_loop().time() > deadline:
                raise TransientError(
                    f"{registry.name} is not ready after {READY_SECONDS:.0f} s",
                    why=trouble,
                    next_step=f"See `trustplane local logs {registry.name}`, then run `trustplane local up` again",
                )
            await asyncio.sleep(readiness.POLL_SECONDS)


def _session(registry: PrivateRegistry) -> aiohttp.ClientSession:
    """Return a session that trusts this registry's CA and logs in as its user."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(registry.ca))),
        timeout=aiohttp.ClientTimeout(total=readiness.PROBE_SECONDS),
        auth=aiohttp.BasicAuth(registry.username, registry.password()),
    )


async def _fill(registry: PrivateRegistry, stack: Stack) -> None:
    """Push the image unless it is there."""
    repository, _, tag = registry.image.partition("/")[2].partition(":")
    if not await _has_image(registry, f"/v2/{repository}/manifests/{tag}"):
        archive = registry.folder / "image.tar"
        containers.write_hello_image(archive, registry.image, stack.rootfs)
        await _push(registry, archive, f"{registry.address}/{repository}:{tag}")
        archive.unlink()


async def _push(registry: PrivateRegistry, archive: Path, target: str) -> None:
    """Copy an OCI archive into the registry. Credentials go by a file: others can read a command line."""
    process = await asyncio.create_subprocess_exec(
        "skopeo",
        "--insecure-policy",  # signatures: the image was made here a moment ago
        "copy",
        "--quiet",
        f"--dest-authfile={registry.folder / 'auth.json'}",
        f"--dest-cert-dir={_certificates(registry)}",
        f"oci-archive:{archive}",
        f"docker://{target}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaint = await process.communicate()
    if process.returncode:
        raise HostError(
            f"The image {registry.image} could not be pushed",
            why=complaint.decode(errors="replace").strip()[-1000:],
            next_step=f"See `trustplane local logs {registry.name}`, then run `trustplane local up` again",
        )


def _certificates(registry: PrivateRegistry) -> Path:
    """Return a folder that holds the CA and nothing else, as skopeo wants it."""
    folder = registry.folder / "certs.d"
    folder.mkdir(exist_ok=True)
    files.write_atomically(folder / "ca.crt", registry.ca.read_bytes())
    return folder
