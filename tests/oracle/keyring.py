"""Keys of every kind used in certificates, generated once, with their signature algorithms."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa

from oracle.encoding import bit_string, integer, oid, sequence, tlv

NULL = b"\x05\x00"
GARBAGE = bytes(range(64))

Sign = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Scheme:
    """An AlgorithmIdentifier and its signing function."""

    identifier: bytes
    sign: Sign


@dataclass(frozen=True)
class Key:
    """A public key, and the schemes of its private key, the default first."""

    name: str
    spki: bytes
    schemes: tuple[Scheme, ...]
    private: bytes = b""  # PEM, for keys that servers use


def pss(digest_oid: str, salt: int, *, mask_oid: str = "", trailer: int = 1) -> bytes:
    """Return the AlgorithmIdentifier of RSASSA-PSS."""
    mask = sequence(oid("1.2.840.113549.1.1.8"), sequence(oid(mask_oid or digest_oid), NULL))
    parts = [tlv(0xA0, sequence(oid(digest_oid), NULL)), tlv(0xA1, mask), tlv(0xA2, integer(salt))]
    if trailer != 1:
        parts.append(tlv(0xA3, integer(trailer)))
    return sequence(oid("1.2.840.113549.1.1.10"), sequence(*parts))


_DIGESTS = (
    (hashes.SHA256(), "2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.11", "1.2.840.10045.4.3.2"),
    (hashes.SHA384(), "2.16.840.1.101.3.4.2.2", "1.2.840.113549.1.1.12", "1.2.840.10045.4.3.3"),
    (hashes.SHA512(), "2.16.840.1.101.3.4.2.3", "1.2.840.113549.1.1.13", "1.2.840.10045.4.3.4"),
)


def _garbage(_: bytes) -> bytes:
    return GARBAGE


def _sign_rsa(key: rsa.RSAPrivateKey, digest: hashes.HashAlgorithm, data: bytes) -> bytes:
    return key.sign(data, padding.PKCS1v15(), digest)


def _sign_pss(key: rsa.RSAPrivateKey, digest: hashes.HashAlgorithm, salt: int, data: bytes) -> bytes:
    return key.sign(data, padding.PSS(padding.MGF1(digest), salt), digest)


def _sign_ec(key: ec.EllipticCurvePrivateKey, digest: hashes.HashAlgorithm, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(digest))


def _rsa_schemes(key: rsa.RSAPrivateKey) -> tuple[Scheme, ...]:
    plain = [Scheme(sequence(oid(alg), NULL), partial(_sign_rsa, key, digest)) for digest, _, alg, _ in _DIGESTS]
    salted = [
        Scheme(pss(digest_oid, digest.digest_size), partial(_sign_pss, key, digest, digest.digest_size))
        for digest, digest_oid, _, _ in _DIGESTS[: 3 if key.key_size >= 2048 else 2]
    ]
    return (*plain, *salted)


def _spki(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | dsa.DSAPublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


class Keyring:
    """All keys of one run."""

    @cached_property
    def usual(self) -> list[Key]:
        """Keys that are cheap to use. Most certificates have one of these."""
        return [self._ec(f"ec{number}", ec.SECP256R1()) for number in range(12)]

    @cached_property
    def odd(self) -> list[Key]:
        """Other valid kinds."""
        curves = (ec.SECP224R1(), ec.SECP384R1(), ec.SECP521R1())
        sizes = (1024, 2048, 2048, 1032)
        return [
            *(self._rsa(f"rsa{size}-{number}", size) for number, size in enumerate(sizes)),
            *(self._ec(curve.name, curve) for curve in curves),
            *(self._ed25519(f"ed25519-{number}") for number in range(2)),
        ]

    @cached_property
    def broken(self) -> list[Key]:
        """Keys that Go refuses to parse, or to verify with."""
        rsa_of = self._rsa_numbers
        return [
            rsa_of("rsa-768", (1 << 767) + 1, 65537),
            rsa_of("rsa-9000", (1 << 8999) + 1, 65537),
            rsa_of("rsa-even", (1 << 2047) + 2, 65537),
            rsa_of("rsa-e1", (1 << 2047) + 1, 1),
            rsa_of("rsa-e-even", (1 << 2047) + 1, 4),
            rsa_of("rsa-e-large", (1 << 2047) + 1, (1 << 33) + 1),
            rsa_of("rsa-e-huge", (1 << 2047) + 1, (1 << 70) + 1),
            rsa_of("rsa-negative", -5, 3),
            rsa_of("rsa-e0", (1 << 2047) + 1, 0),
            self._dsa,
            self._key("rsa-no-null", sequence(sequence(oid("1.2.840.113549.1.1.1")), bit_string(sequence(integer(7))))),
            self._key("x25519", sequence(sequence(oid("1.3.101.110")), bit_string(bytes(32)))),
            self._key("ed25519-short", sequence(sequence(oid("1.3.101.112")), bit_string(bytes(31)))),
            self._key("ed25519-null", sequence(sequence(oid("1.3.101.112"), NULL), bit_string(bytes(32)))),
            self._key("unknown", sequence(sequence(oid("1.2.3.4.5")), bit_string(b"\x05\x00"))),
            self._point("1.2.840.10045.3.1.7", b"\x04" + bytes(64)),
            self._point("1.2.840.10045.3.1.7", b"\x02" + bytes(32)),
            self._point("1.2.840.10045.3.1.7", b"\x04" + bytes(63)),
            self._point("1.3.132.0.10", b"\x04" + bytes(64)),
        ]

    def _ec(self, name: str, curve: ec.EllipticCurve) -> Key:
        key = ec.generate_private_key(curve)
        schemes = tuple(Scheme(sequence(oid(alg)), partial(_sign_ec, key, digest)) for digest, _, _, alg in _DIGESTS)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Key(name, _spki(key.public_key()), schemes, private)

    def _rsa(self, name: str, size: int) -> Key:
        key = rsa.generate_private_key(65537, size)
        return Key(name, _spki(key.public_key()), _rsa_schemes(key))

    def _ed25519(self, name: str) -> Key:
        key = ed25519.Ed25519PrivateKey.generate()
        return Key(name, _spki(key.public_key()), (Scheme(sequence(oid("1.3.101.112")), key.sign),))

    @cached_property
    def _dsa(self) -> Key:
        key = dsa.generate_private_key(1024)  # noqa: S505 - small keys are fast, and this one protects nothing
        scheme = Scheme(sequence(oid("2.16.840.1.101.3.4.3.2")), lambda data: key.sign(data, hashes.SHA256()))
        return Key("dsa", _spki(key.public_key()), (scheme,))

    def _rsa_numbers(self, name: str, modulus: int, exponent: int) -> Key:
        content = bit_string(sequence(integer(modulus), integer(exponent)))
        return self._key(name, sequence(sequence(oid("1.2.840.113549.1.1.1"), NULL), content), "1.2.840.113549.1.1.11")

    def _point(self, curve: str, point: bytes) -> Key:
        return self._key(f"point-{curve}", sequence(sequence(oid("1.2.840.10045.2.1"), oid(curve)), bit_string(point)))

    @staticmethod
    def _key(name: str, spki: bytes, algorithm: str = "1.2.840.10045.4.3.2") -> Key:
        return Key(name, spki, (Scheme(sequence(oid(algorithm)), _garbage),))


ODD_SCHEMES = (
    *(
        Scheme(sequence(oid(algorithm), NULL), _garbage)
        for algorithm in (
            "1.2.840.113549.1.1.2",
            "1.2.840.113549.1.1.4",
            "1.2.840.113549.1.1.5",
            "1.3.14.3.2.29",
            "1.2.840.10045.4.1",
            "1.2.840.10040.4.3",
            "1.3.101.112",
            "1.3.101.113",
            "1.2.840.113549.1.1.10",
        )
    ),
    Scheme(sequence(oid("1.2.840.113549.1.1.10"), sequence()), _garbage),
    Scheme(pss("2.16.840.1.101.3.4.2.1", 20), _garbage),
    Scheme(pss("2.16.840.1.101.3.4.2.1", 32, mask_oid="1.3.14.3.2.26"), _garbage),
    Scheme(pss("2.16.840.1.101.3.4.2.1", 32, trailer=2), _garbage),
    Scheme(sequence(oid("1.2.840.10045.4.3.2"), NULL), _garbage),
)
