"""Random histories of a trust configuration, and the resulting files of every node. Pure."""

import datetime as dt
import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from e2e.clusters import encoded
from trustplane.api.annotations import REGISTRY_SCOPE
from trustplane.api.configuration import TrustedCA
from trustplane.trust import scope
from trustplane.trust.entries import TrustSet
from trustplane.trust.node_files import render_files

MOST = 6  # entries besides the constant ones
PREFIX = "storm"


def certificate(name: str, serial: int) -> bytes:
    """Return a CA with a name, PEM; another serial number makes another content."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), serial)
    builder = builder.not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=90))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True)
class Configuration:
    """A trust configuration.

    Attributes:
        authorities: PEM certificates by name.
        scopes: The registry of each entry that is for one registry only.
    """

    authorities: Mapping[str, bytes]
    scopes: Mapping[str, str] = field(default_factory=dict)

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations of the object with the list."""
        value = scope.render_scopes({name: [host] for name, host in self.scopes.items()})
        return {REGISTRY_SCOPE: value} if value else {}

    @property
    def trust(self) -> TrustSet:
        """The set that clusters take."""
        listed = [TrustedCA(name=name, data=encoded(pem)) for name, pem in self.authorities.items()]
        return scope.parse_scoped_list(listed, self.annotations, where="storm").trust

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of every resulting trust file on a node, by path."""
        return {
            path: hashlib.sha256(content.encode()).hexdigest() for path, content in render_files(self.trust).items()
        }

    @property
    def extras(self) -> list[str]:
        """Names of the entries that come and go."""
        return sorted(name for name in self.authorities if name.startswith(PREFIX))


def history(start: Configuration, host: str, chance: random.Random) -> Iterator[tuple[str, Configuration]]:
    """Yield an endless series of changes, each with the configuration after it, which differs from the one before.

    Args:
        start: Entries in it that are not ours to change stay.
        host: The registry that some entries are for.
        chance: Decides.
    """
    current, count = start, 0
    while True:
        count += 1
        extras = current.extras
        few, many = len(extras) < 2, len(extras) >= MOST
        action = "add" if few else chance.choice([*([] if many else ["add"] * 2), "replace", "remove", "rescope"])
        name = f"{PREFIX}-{count}" if action == "add" else chance.choice(extras)
        current = _changed(current, action, name, host, chance, count)
        yield f"{action} {name}{f' for {host}' if name in current.scopes else ''}", current


def _changed(
    current: Configuration, action: str, name: str, host: str, chance: random.Random, serial: int
) -> Configuration:
    authorities, scopes = dict(current.authorities), dict(current.scopes)
    if action in ("add", "replace"):
        authorities[name] = certificate(name, serial)
    if action == "remove":
        del authorities[name]
        scopes.pop(name, None)
    if action == "rescope" or (action == "add" and chance.random() < 0.5):
        scopes = {one: to for one, to in scopes.items() if one != name} if name in scopes else scopes | {name: host}
    return replace(current, authorities=authorities, scopes=scopes)


def victims(kinds: list[str], count: int, chance: random.Random) -> list[str]:
    """Return a number of kinds in random order, each about as often as the others."""
    whole, rest = divmod(count, len(kinds))
    chosen = [*kinds * whole, *chance.sample(kinds, rest)]
    chance.shuffle(chosen)
    return chosen
