"""Public keys as Go's crypto/x509 parses them."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from trustplane.certificates.verification.der import DerReader, MalformedError

RSA = "1.2.840.113549.1.1.1"
DSA = "1.2.840.10040.4.1"
EC = "1.2.840.10045.2.1"
ED25519 = "1.3.101.112"

_NULL = b"\x05\x00"
_ED25519_OCTETS = 32
_UNCOMPRESSED = 0x04
_CURVES: dict[str, ec.EllipticCurve] = {
    "1.3.132.0.33": ec.SECP224R1(),
    "1.2.840.10045.3.1.7": ec.SECP256R1(),
    "1.3.132.0.34": ec.SECP384R1(),
    "1.3.132.0.35": ec.SECP521R1(),
}


@dataclass(frozen=True)
class RSAKey:
    """An RSA public key."""

    modulus: int
    exponent: int

    go_type = "*rsa.PublicKey"


@dataclass(frozen=True)
class ECKey:
    """A point on one of Go's four NIST curves."""

    curve: ec.EllipticCurve
    point: bytes  # X9.62, uncompressed

    go_type = "*ecdsa.PublicKey"


@dataclass(frozen=True)
class Ed25519Key:
    """An Ed25519 public key."""

    octets: bytes

    go_type = "ed25519.PublicKey"


@dataclass(frozen=True)
class DSAKey:
    """A DSA public key. Go parses it, but verifies no signatures with it."""

    go_type = "*dsa.PublicKey"


PublicKey = RSAKey | ECKey | Ed25519Key | DSAKey


def read_algorithm(reader: DerReader) -> tuple[str, bytes]:
    """Read the content of an AlgorithmIdentifier. Return the object identifier, and the parameters as DER or b""."""
    algorithm = reader.oid("x509: malformed OID")
    return algorithm, reader.any_element("x509: malformed parameters")[1] if reader else b""


def read_key(spki: bytes) -> PublicKey | None:
    """Read a SubjectPublicKeyInfo from its DER; None if Go does not know the algorithm. Raises MalformedError."""
    reader = DerReader(spki).sequence("x509: malformed spki")
    algorithm, parameters = read_algorithm(reader.sequence("x509: malformed public key algorithm identifier"))
    content = reader.bit_string("x509: malformed subjectPublicKey").right_aligned
    if algorithm == RSA:
        return _rsa(parameters, content)
    if algorithm == EC:
        return _ec(parameters, content)
    if algorithm == ED25519:
        return _ed25519(parameters, content)
    return _dsa(parameters, content) if algorithm == DSA else None


def _rsa(parameters: bytes, content: bytes) -> RSAKey:
    if parameters != _NULL:
        raise MalformedError("x509: RSA key missing NULL parameters")
    reader = DerReader(content).sequence("x509: invalid RSA public key")
    modulus = reader.integer("x509: invalid RSA modulus")
    exponent = reader.int64("x509: invalid RSA public exponent")
    if modulus <= 0:
        raise MalformedError("x509: RSA modulus is not a positive number")
    if exponent <= 0:
        raise MalformedError("x509: RSA public exponent is not a positive number")
    return RSAKey(modulus, exponent)


def _ec(parameters: bytes, content: bytes) -> ECKey:
    curve = _CURVES.get(DerReader(parameters).oid("x509: invalid ECDSA parameters"))
    if curve is None:
        raise MalformedError("x509: unsupported elliptic curve")
    if not content or content[0] != _UNCOMPRESSED:
        raise MalformedError("ecdsa: invalid uncompressed public key")
    if len(content) != 1 + 2 * -(-curve.key_size // 8):
        raise MalformedError(f"invalid P{curve.key_size} point encoding")
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(curve, content)
    except ValueError:
        raise MalformedError(f"P{curve.key_size} point not on curve") from None
    return ECKey(curve, content)


def _ed25519(parameters: bytes, content: bytes) -> Ed25519Key:
    if parameters:
        raise MalformedError("x509: Ed25519 key encoded with illegal parameters")
    if len(content) != _ED25519_OCTETS:
        raise MalformedError("x509: wrong Ed25519 public key size")
    return Ed25519Key(content)


def _dsa(parameters: bytes, content: bytes) -> DSAKey:
    values = [DerReader(content).integer("x509: invalid DSA public key")]
    reader = DerReader(parameters).sequence("x509: invalid DSA parameters")
    values += [reader.integer("x509: invalid DSA parameters") for _ in "pqg"]
    if min(values) <= 0:
        raise MalformedError("x509: zero or negative DSA parameter")
    return DSAKey()
