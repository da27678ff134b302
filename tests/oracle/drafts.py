"""Drafts of certificates: every part can be set, and is signed as it is."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from oracle.encoding import bit_string, boolean, integer, name, oid, sequence, time, tlv
from oracle.keyring import Key, Scheme

COMMON_NAME, ORGANIZATION = "2.5.4.3", "2.5.4.10"
SKI, KEY_USAGE, SAN, BASIC, CONSTRAINTS, CRL = (f"2.5.29.{n}" for n in (14, 15, 17, 19, 30, 31))
POLICIES, MAPPINGS, AKI, POLICY_CONSTRAINTS, EKU, INHIBIT_ANY = (f"2.5.29.{n}" for n in (32, 33, 35, 36, 37, 54))
AIA = "1.3.6.1.5.5.7.1.1"
SERVER_AUTH, CLIENT_AUTH = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"


def basic(*, ca: bool, path_length: int | None = None) -> bytes:
    limit = b"" if path_length is None else integer(path_length)
    return sequence(boolean(True) if ca else b"", limit)


def key_usage(*bits: int) -> bytes:
    width = max(bits, default=0) + 1
    octets = -(-width // 8)
    value = sum(1 << (octets * 8 - 1 - bit) for bit in bits)
    return bit_string(value.to_bytes(octets, "big"), octets * 8 - width)


def usages(*oids: str) -> bytes:
    return sequence(*map(oid, oids))


def key_id(key: Key) -> bytes:
    return hashlib.sha256(key.spki).digest()[:20]


@dataclass
class Draft:
    """An unsigned certificate; `der` signs it."""

    subject: bytes
    issuer: bytes
    key: Key
    signer: Key
    serial: int = 4711
    version: int | None = 2
    not_before: bytes = field(default_factory=lambda: time("250101000000Z"))
    not_after: bytes = field(default_factory=lambda: time("351231235959Z"))
    extensions: list[tuple[str, bool, bytes]] = field(default_factory=list)
    scheme: Scheme | None = None
    inner_algorithm: bytes = b""
    forged: bool = False
    trailing: bytes = b""
    mutate: Callable[[bytes], bytes] | None = None  # applied to the signed part

    def put(self, kind: str, value: bytes, *, critical: bool = False) -> None:
        """Set an extension, replacing one of the same kind."""
        indexes = [index for index, (oid_, _, _) in enumerate(self.extensions) if oid_ == kind]
        if indexes:
            self.extensions[indexes[0]] = (kind, critical, value)
        else:
            self.extensions.append((kind, critical, value))

    def drop(self, kind: str) -> None:
        self.extensions = [extension for extension in self.extensions if extension[0] != kind]

    @property
    def der(self) -> bytes:
        scheme = self.scheme or self.signer.schemes[0]
        tbs = self._tbs(self.inner_algorithm or scheme.identifier)
        if self.mutate:
            tbs = self.mutate(tbs)
        signature = scheme.sign(tbs + b"." if self.forged else tbs)
        return sequence(tbs, scheme.identifier, bit_string(signature)) + self.trailing

    def _tbs(self, algorithm: bytes) -> bytes:
        version = b"" if self.version is None else tlv(0xA0, integer(self.version))
        items = (
            sequence(oid(kind), boolean(True) if critical else b"", tlv(0x04, value))
            for kind, critical, value in self.extensions
        )
        extensions = tlv(0xA3, sequence(*items)) if self.extensions else b""
        validity = sequence(self.not_before, self.not_after)
        parts = (integer(self.serial), algorithm, self.issuer, validity, self.subject, self.key.spki, extensions)
        return sequence(version, *parts)


def ca(label: str, key: Key, issuer: "Draft | None" = None) -> Draft:
    """Return an ordinary CA, self-signed without an issuer."""
    subject = name((ORGANIZATION, "Lab"), (COMMON_NAME, label))
    draft = Draft(subject, issuer.subject if issuer else subject, key, issuer.key if issuer else key)
    draft.put(BASIC, basic(ca=True), critical=True)
    draft.put(KEY_USAGE, key_usage(5, 6), critical=True)
    draft.put(SKI, tlv(0x04, key_id(key)))
    if issuer:
        draft.put(AKI, sequence(tlv(0x80, key_id(issuer.key))))
    return draft


def server(key: Key, issuer: Draft, *names: bytes) -> Draft:
    """Return an ordinary server certificate."""
    subject = name((ORGANIZATION, "Lab"), (COMMON_NAME, "registry"))
    draft = Draft(subject, issuer.subject, key, issuer.key)
    draft.put(BASIC, basic(ca=False), critical=True)
    draft.put(KEY_USAGE, key_usage(0), critical=True)
    draft.put(EKU, usages(SERVER_AUTH))
    draft.put(SKI, tlv(0x04, key_id(key)))
    draft.put(AKI, sequence(tlv(0x80, key_id(issuer.key))))
    draft.put(SAN, sequence(*names))
    return draft
