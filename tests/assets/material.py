"""Keys and certificates that are the same in every run: made of fixed numbers, and signed by deterministic Ed25519."""

import base64
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from oracle import drafts
from oracle.drafts import Draft
from oracle.encoding import bit_string, integer, oid, sequence, tlv
from oracle.keyring import NULL, Key, Scheme
from oracle.pem import data, pem

_RSA = "1.2.840.113549.1.1.1"


def private_key(label: str) -> ed25519.Ed25519PrivateKey:
    """Return a throw-away key: everybody can make it."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(label.encode()).digest())


def key(label: str) -> Key:
    private = private_key(label)
    spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Key(label, spki, (Scheme(sequence(oid("1.3.101.112")), private.sign),))


def rsa_key(bits: int) -> Key:
    """Return a public key whose modulus is a fixed odd number of that many bits."""
    digits = hashlib.shake_256(b"modulus").digest(bits // 8)
    modulus = int.from_bytes(digits, "big") | 1 << (bits - 1) | 1
    numbers = bit_string(sequence(integer(modulus), integer(65537)))
    return Key(f"rsa-{bits}", sequence(sequence(oid(_RSA), NULL), numbers), ())


def x25519_key() -> Key:
    """Return a public key that signs nothing."""
    return Key("x25519", sequence(sequence(oid("1.3.101.110")), bit_string(hashlib.sha256(b"x25519").digest())), ())


ROOT = drafts.ca("Corp Root", key("root"))
OTHER = drafts.ca("Other Root", key("other"))
GOOD, SECOND = ROOT.der, OTHER.der


def odd(label: str, public: Key | None = None, issuer: Draft | None = None) -> Draft:
    """Return a CA to be made odd."""
    return drafts.ca(label, public or key(label), issuer)


def many(count: int) -> list[bytes]:
    return [drafts.ca(f"Root {number}", key(f"root-{number}")).der for number in range(count)]


def key_pem(label: str = "throw-away") -> str:
    return private_key(label).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def key_der(label: str = "throw-away") -> bytes:
    return private_key(label).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def encrypted_key_der() -> bytes:
    """Return what looks like an encrypted key (RFC 5958): what is in it was never a key."""
    salt, iv, content = (tlv(0x04, hashlib.sha256(part).digest()[:size]) for part, size in
                         ((b"salt", 8), (b"iv", 16), (b"content", 32)))  # fmt: skip
    derivation = sequence(oid("1.2.840.113549.1.5.12"), sequence(salt, integer(2048)))
    scheme = sequence(oid("2.16.840.1.101.3.4.1.42"), iv)
    return sequence(sequence(oid("1.2.840.113549.1.5.13"), sequence(derivation, scheme)), content)


def pkcs7(*ders: bytes) -> bytes:
    """Return a container of certificates without signatures (RFC 5652, section 5)."""
    content = sequence(oid("1.2.840.113549.1.7.1"))
    signed = sequence(integer(1), tlv(0x31), content, tlv(0xA0, *ders), tlv(0x31))
    return sequence(oid("1.2.840.113549.1.7.2"), tlv(0xA0, signed))


def keystore(*ders: bytes, tag: int = 2) -> bytes:
    """Return a Java keystore (JKS, version 2) of certificates; another tag makes other entries."""
    entries = b"".join(
        tag.to_bytes(4, "big") + b"\0\x04corp" + bytes(8) + b"\0\x05X.509" + len(der).to_bytes(4, "big") + der
        for der in ders
    )
    content = b"\xfe\xed\xfe\xed" + (2).to_bytes(4, "big") + len(ders).to_bytes(4, "big") + entries
    return content + hashlib.sha1(b"changeitMighty Aphrodite" + content, usedforsecurity=False).digest()


def block(label: str, content: bytes) -> str:
    lines = base64.encodebytes(content).decode()
    return f"-----BEGIN {label}-----\n{lines}-----END {label}-----\n"


def request() -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(private_key("request"), None).public_bytes(Encoding.PEM).decode()


def encoded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def service(*entries: tuple[str, str]) -> bytes:
    """Return a manifest with a list of (name, data)."""
    lines = "".join(f"    - name: {name}\n      data: {value}\n" for name, value in entries)
    return (
        "apiVersion: run.tanzu.vmware.com/v1alpha3\nkind: TkgServiceConfiguration\n"
        f"metadata:\n  name: tkg-service-configuration\nspec:\n  trust:\n    additionalTrustedCAs:\n{lines}"
    ).encode()


def cluster(value: str, more: str = "", **keys: bytes) -> bytes:
    """Return a Cluster with that value of variable `trust`, more of its topology as lines, and its Secret."""
    lines = "".join(f"  {name}: {encoded(data(der))}\n" for name, der in keys.items())
    return (
        "apiVersion: cluster.x-k8s.io/v1beta1\nkind: Cluster\nmetadata:\n  name: demo\n  namespace: team\n"
        "spec:\n  topology:\n    class: tanzukubernetescluster\n    variables:\n"
        f"    - name: trust\n      value: {value}\n{more}"
        "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: demo-user-trusted-ca-secret\n  namespace: team\n"
        f"data:\n{lines}"
    ).encode()


def file(*ders: bytes) -> bytes:
    return pem(*ders).encode()
