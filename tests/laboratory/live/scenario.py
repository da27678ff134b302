"""A scenario on real nodes: its servers, the trust of the cluster, and the changes to the node."""

import contextlib
import ipaddress
import re
from dataclasses import dataclass, field
from typing import Any

from oracle.keyring import Keyring
from oracle.pem import pem
from oracle.server import TLS, Answer, answering

from laboratory.live.answers import public
from laboratory.material import PKI

Json = dict[str, Any]
_TEAM = "team/app:1"
_LOOPBACK = "127.0.0.77"  # these ports are free if the port is free elsewhere


@dataclass(frozen=True, kw_only=True)
class Live:
    """A scenario with one fault, which `truth` names.

    Attributes:
        name: Description.
        truth: Code of the cause.
        address: Host of the registry, the first part of the image reference.
        image: Image reference, if it is not the usual one.
        trusted: CAs in the cluster's set in force.
        added: CAs added to the list since, without an update of the cluster.
        known: CAs in the set of another cluster.
        scope: Registry to which `trusted` is limited; "" for node-wide.
        edit: Script run on the node before a restart of containerd; `{file}` is the first trusted CA's file.
        later: Script run on the node after the restart.
        secrets: Secrets, by default in the pod's namespace.
        pull_secrets: Names of the pod's pull secrets.
        account: Names of pull secrets added to the pod's ServiceAccount after the pod was created.
        fix: The CA that the diagnosis must name, DER; empty if no CA is missing, or no source has it.
        pull_policy: Pull policy of the container.
        by_skopeo: Whether another client fails for the same cause; False for causes in containerd's own files.
    """

    name: str
    truth: str
    address: str
    image: str = ""
    trusted: tuple[bytes, ...] = ()
    added: tuple[bytes, ...] = ()
    known: tuple[bytes, ...] = ()
    scope: str = ""
    edit: str = ""
    later: str = ""
    secrets: tuple[Json, ...] = ()
    pull_secrets: tuple[str, ...] = ()
    account: tuple[str, ...] = ()
    fix: bytes = b""
    pull_policy: str = "Always"
    by_skopeo: bool = True

    @property
    def reference(self) -> str:
        """The pod's image reference."""
        return self.image or f"{self.address}/{_TEAM}"

    @property
    def slug(self) -> str:
        """Name of the pod, and prefix of the entries' names."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")

    @property
    def loaded(self) -> tuple[bytes, ...]:
        """The CAs that the runtime uses."""
        return () if self.edit or self.later or self.scope else self.trusted

    def entries(self) -> dict[str, bytes]:
        """Return PEM of the trusted CAs, by entry."""
        return {f"{self.slug}-{place}": pem(one).encode() for place, one in enumerate(self.trusted)}

    def additions(self) -> dict[str, bytes]:
        """Return PEM of the CAs added since, by entry."""
        return {f"{self.slug}-new-{place}": pem(one).encode() for place, one in enumerate(self.added)}


@dataclass
class Site:
    """The servers of the scenarios, and their host names.

    Attributes:
        address: Address of this machine in the network of the nodes.
        running: Stops the servers on exit.
        names: Address for the nodes and address for this machine, by host name.
    """

    address: str
    running: contextlib.ExitStack
    names: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def unused(self) -> str:
        """An unused address of the same network."""
        return str(ipaddress.ip_address(self.address) + 4)

    def name(self, host: str) -> str:
        """Resolve a host name to this machine, for all clients."""
        self.names[host] = (self.address, self.address)
        return host

    def https(self, pki: PKI, host: str, answer: Answer | None = None, *chain: bytes, port: int = 0, **tls: Any) -> str:
        """Serve a chain, the usual one by default; return host:port."""
        context = TLS(chain or pki.ders(), pki.key, **tls)
        taken = self.running.enter_context(answering((self.address, port), context, answer or public()))
        if host != self.address:
            self.name(host)
        return f"{host}:{taken}"

    def differently(self, here: PKI, there: PKI, host: str) -> str:
        """Serve one chain to Trustplane and another one to the nodes, under the same name; return host:port."""
        port = self.https(there, self.address, None, *all_of(there)).rpartition(":")[2]
        self.running.enter_context(answering((_LOOPBACK, int(port)), TLS(here.ders(), here.key), public()))
        self.names[host] = (self.address, _LOOPBACK)
        return f"{host}:{port}"

    def hosts_file(self, *, of_nodes: bool) -> str:
        """Return the names as lines of /etc/hosts."""
        return "".join(f"{there if of_nodes else here} {name}\n" for name, (there, here) in self.names.items())


def owner(host: str, label: str = "") -> PKI:
    """Return the certificates of one owner, with new keys."""
    return PKI(0, host, label=label or f"{host.partition('.')[0]} root", keyring=Keyring())


def self_signed(host: str) -> PKI:
    """Return an owner whose server has a self-signed certificate."""
    alone = owner(host)
    alone.server.issuer, alone.server.signer = alone.server.subject, alone.server.key
    return alone


def all_of(pki: PKI) -> tuple[bytes, ...]:
    """Return the certificates that an interceptor serves: all, or its only one."""
    return pki.ders(pki.server) if pki.server.issuer == pki.server.subject else whole(pki)


def root(pki: PKI) -> bytes:
    """Return the CA of an owner, DER."""
    return pki.ders(pki.root)[0]


def whole(pki: PKI) -> tuple[bytes, ...]:
    """Return the chain with its root."""
    return pki.ders(pki.server, pki.issuing, pki.root)


def trusted(
    site: Site, name: str, truth: str, host: str, answer: Answer | None = None, *, pki: PKI | None = None, **known: Any
) -> Live:
    """Serve at a host whose CA the cluster trusts, by default that of a new owner."""
    pki = pki or owner(host)
    return Live(name=name, truth=truth, address=site.https(pki, host, answer), trusted=(root(pki),), **known)
