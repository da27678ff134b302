"""Signatures on certificates: the algorithms and keys that Go accepts."""

import enum
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from trustplane.certificates.verification.der import OBJECT_IDENTIFIER, DerReader, MalformedError
from trustplane.certificates.verification.keys import ECKey, Ed25519Key, PublicKey, RSAKey

_MIN_RSA_BITS = 1024
_MAX_RSA_EXPONENT = (1 << 31) - 1
_NULL = b"\x05\x00"
_MGF1 = "1.2.840.113549.1.1.8"
_PSS = "1.2.840.113549.1.1.10"

UNSUPPORTED = "x509: cannot verify signature: algorithm unimplemented"


class KeyKind(enum.StrEnum):
    """The kind of key that a signature algorithm needs, by Go's name."""

    RSA = "RSA"
    DSA = "DSA"
    ECDSA = "ECDSA"
    ED25519 = "Ed25519"


@dataclass(frozen=True)
class Algorithm:
    """A signature algorithm that Go knows."""

    name: str  # Go's name for it
    kind: KeyKind
    digest: hashes.HashAlgorithm | None = None  # None: signs the data itself
    is_pss: bool = False

    @property
    def is_insecure(self) -> bool:
        """Whether Go refuses the algorithm in certificates, with any key."""
        return isinstance(self.digest, hashes.MD5 | hashes.SHA1)


_ALGORITHMS = {
    "1.2.840.113549.1.1.4": Algorithm("MD5-RSA", KeyKind.RSA, hashes.MD5()),  # noqa: S303 - listed to be refused
    "1.2.840.113549.1.1.5": Algorithm("SHA1-RSA", KeyKind.RSA, hashes.SHA1()),  # noqa: S303 - listed to be refused
    "1.3.14.3.2.29": Algorithm("SHA1-RSA", KeyKind.RSA, hashes.SHA1()),  # noqa: S303 - listed to be refused
    "1.2.840.113549.1.1.11": Algorithm("SHA256-RSA", KeyKind.RSA, hashes.SHA256()),
    "1.2.840.113549.1.1.12": Algorithm("SHA384-RSA", KeyKind.RSA, hashes.SHA384()),
    "1.2.840.113549.1.1.13": Algorithm("SHA512-RSA", KeyKind.RSA, hashes.SHA512()),
    "1.2.840.10040.4.3": Algorithm("DSA-SHA1", KeyKind.DSA, hashes.SHA1()),  # noqa: S303 - listed to be refused
    "2.16.840.1.101.3.4.3.2": Algorithm("DSA-SHA256", KeyKind.DSA, hashes.SHA256()),
    "1.2.840.10045.4.1": Algorithm("ECDSA-SHA1", KeyKind.ECDSA, hashes.SHA1()),  # noqa: S303 - listed to be refused
    "1.2.840.10045.4.3.2": Algorithm("ECDSA-SHA256", KeyKind.ECDSA, hashes.SHA256()),
    "1.2.840.10045.4.3.3": Algorithm("ECDSA-SHA384", KeyKind.ECDSA, hashes.SHA384()),
    "1.2.840.10045.4.3.4": Algorithm("ECDSA-SHA512", KeyKind.ECDSA, hashes.SHA512()),
}
_ED25519 = Algorithm("Ed25519", KeyKind.ED25519)
_ED25519_OID = "1.3.101.112"
_PSS_ALGORITHMS = {
    ("2.16.840.1.101.3.4.2.1", 32): Algorithm("SHA256-RSAPSS", KeyKind.RSA, hashes.SHA256(), is_pss=True),
    ("2.16.840.1.101.3.4.2.2", 48): Algorithm("SHA384-RSAPSS", KeyKind.RSA, hashes.SHA384(), is_pss=True),
    ("2.16.840.1.101.3.4.2.3", 64): Algorithm("SHA512-RSAPSS", KeyKind.RSA, hashes.SHA512(), is_pss=True),
}


def algorithm_of(oid: str, parameters: bytes) -> Algorithm | None:
    """Return the algorithm of an AlgorithmIdentifier; None if Go does not know it."""
    if oid == _ED25519_OID:
        return None if parameters else _ED25519
    if oid != _PSS:
        return _ALGORITHMS.get(oid)
    try:
        return _pss(parameters)
    except MalformedError:
        return None


def _pss(parameters: bytes) -> Algorithm | None:
    """Read RSASSA-PSS-params (RFC 4055). Go requires one digest for both uses, and a salt as long as the digest."""
    reader = DerReader(parameters).sequence("")
    digest, digest_parameters = _identifier(DerReader(reader.read(0xA0, "")).sequence(""))
    mask, mask_parameters = _identifier(DerReader(reader.read(0xA1, "")).sequence(""))
    salt = DerReader(reader.read(0xA2, "")).int64("")
    trailer = DerReader(reader.read(0xA3, "")).int64("") if reader.next_is(0xA3) else 1
    mask_digest, mask_digest_parameters = _identifier(DerReader(mask_parameters).sequence(""))
    plain = {digest_parameters, mask_digest_parameters} <= {b"", _NULL}
    if not plain or mask != _MGF1 or mask_digest != digest or trailer != 1:
        return None
    return _PSS_ALGORITHMS.get((digest, salt))


def _identifier(reader: DerReader) -> tuple[str, bytes]:
    if not reader.next_is(OBJECT_IDENTIFIER):
        raise MalformedError("")
    return reader.oid(""), reader.any_element("")[1] if reader else b""


def signature_error(algorithm: Algorithm | None, signed: bytes, signature: bytes, key: PublicKey | None) -> str:
    """Return Go's error if `signature` is not valid, or ""."""
    if algorithm is None:
        return UNSUPPORTED
    if algorithm.is_insecure:
        return f"x509: cannot verify signature: insecure algorithm {algorithm.name}"
    if isinstance(key, RSAKey):
        return _mismatch(algorithm, KeyKind.RSA, key) or _rsa_error(algorithm, signed, signature, key)
    if isinstance(key, ECKey):
        return _mismatch(algorithm, KeyKind.ECDSA, key) or _ecdsa_error(algorithm, signed, signature, key)
    if isinstance(key, Ed25519Key):
        return _mismatch(algorithm, KeyKind.ED25519, key) or _ed25519_error(signed, signature, key)
    return UNSUPPORTED


def _mismatch(algorithm: Algorithm, kind: KeyKind, key: PublicKey) -> str:
    if algorithm.kind is kind:
        return ""
    return (
        f"x509: signature algorithm specifies an {algorithm.kind} public key, but have public key of type {key.go_type}"
    )


def _rsa_error(algorithm: Algorithm, signed: bytes, signature: bytes, key: RSAKey) -> str:
    key_error = rsa_key_error(key)
    if key_error:
        return key_error
    digest = algorithm.digest
    if digest is None:
        return UNSUPPORTED
    scheme = padding.PSS(padding.MGF1(digest), digest.digest_size) if algorithm.is_pss else padding.PKCS1v15()
    try:
        rsa.RSAPublicNumbers(key.exponent, key.modulus).public_key().verify(signature, signed, scheme, digest)
    except (InvalidSignature, ValueError):
        return "crypto/rsa: verification error"
    return ""


def rsa_key_error(key: RSAKey) -> str:
    """Return Go's error if it cannot verify signatures with an RSA key, or ""."""
    bits = key.modulus.bit_length()
    if bits < _MIN_RSA_BITS:
        return f"crypto/rsa: {bits}-bit keys are insecure (see https://go.dev/pkg/crypto/rsa#hdr-Minimum_key_size)"
    if key.modulus % 2 == 0:
        return "crypto/rsa: public modulus is even"
    if key.exponent == 1:
        return "crypto/rsa: public exponent too small or negative"
    if key.exponent % 2 == 0:
        return "crypto/rsa: public exponent is even"
    return "crypto/rsa: public exponent too large" if key.exponent > _MAX_RSA_EXPONENT else ""


def _ecdsa_error(algorithm: Algorithm, signed: bytes, signature: bytes, key: ECKey) -> str:
    digest = algorithm.digest
    if digest is None:
        return UNSUPPORTED
    public = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, key.point)
    try:
        public.verify(signature, signed, ec.ECDSA(digest))
    except InvalidSignature:
        return "x509: ECDSA verification failure"
    return ""


def _ed25519_error(signed: bytes, signature: bytes, key: Ed25519Key) -> str:
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key.octets).verify(signature, signed)
    except InvalidSignature:
        return "x509: Ed25519 verification failure"
    return ""
