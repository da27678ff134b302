import base64
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from assets.material import keystore
from trustplane.certificates.parsing import MAX_LENGTH, Parsed, holds_private_key, parse

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(
    *subject: str,
    key: PrivateKey = KEY,
    start: int = 2020,
    end: int = 2040,
    extensions: tuple[x509.ExtensionType, ...] = (x509.BasicConstraints(ca=True, path_length=None),),
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value) for value in subject])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(start, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(end, 12, 31, tzinfo=UTC))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


CATALOGUE: dict[str, Callable[[], x509.Certificate]] = {
    "ca": lambda: certificate("Corp CA"),
    "rsa": lambda: certificate("RSA", key=rsa.generate_private_key(65537, 2048)),
    "ed25519": lambda: certificate("Ed", key=ed25519.Ed25519PrivateKey.generate()),
    "leaf": lambda: certificate("leaf", extensions=(x509.BasicConstraints(ca=False, path_length=None),)),
    "no-extensions": lambda: certificate("old", extensions=()),
    "no-subject": certificate,
    "expired": lambda: certificate("expired", start=2000, end=2001),
    "not-yet-valid": lambda: certificate("young", start=2090, end=2099),
    "far-end": lambda: certificate("long", end=9999),
    "unicode-subject": lambda: certificate("Größe, 証明書 + \\ \u200f"),
    "many-names": lambda: certificate(
        "names", extensions=(x509.SubjectAlternativeName([x509.DNSName(f"a{n}.test") for n in range(500)]),)
    ),
}


@cache
def catalogue(name: str) -> x509.Certificate:
    return CATALOGUE[name]()


def pem(certificate_: x509.Certificate) -> bytes:
    return certificate_.public_bytes(Encoding.PEM)


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def fingerprints(parsed: Parsed) -> list[str]:
    assert parsed.ok, parsed.findings
    return [parsed_certificate.fingerprint for parsed_certificate in parsed.certificates]


def code(data: str) -> str:
    parsed = parse(data)
    [finding] = parsed.findings
    assert not parsed.ok
    assert parsed.certificates == ()
    assert finding.what
    assert finding.why
    assert finding.next_step
    return finding.code


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_certificate_of_the_catalogue_is_parsed(name: str) -> None:
    expected = catalogue(name)
    [parsed] = parse(encoded(pem(expected))).certificates
    assert parsed.fingerprint == expected.fingerprint(hashes.SHA256()).hex()
    assert parsed.pem == pem(expected).decode()
    assert parsed.subject == expected.subject.rfc4514_string()
    assert parsed.expires == expected.not_valid_after_utc


def test_several_certificates_keep_their_order_without_duplicates() -> None:
    names = ["leaf", "ca", "expired"]
    content = b"".join(pem(catalogue(name)) for name in [*names, "ca"])
    assert fingerprints(parse(encoded(content))) == [
        catalogue(name).fingerprint(hashes.SHA256()).hex() for name in names
    ]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda content: content.replace(b"\n", b"\r\n"), id="windows-line-ends"),
        pytest.param(lambda content: content.replace(b"\n", b"\r"), id="old-mac-line-ends"),
        pytest.param(lambda content: content.rstrip(), id="no-final-newline"),
        pytest.param(lambda content: b"\xef\xbb\xbf" + content, id="byte-order-mark"),
        pytest.param(lambda content: b"subject=CN = x\nissuer=CN = x\n" + content + b"\nbye", id="text-around"),
        pytest.param(lambda content: content.replace(b"\n", b"  \n\n"), id="blank-lines"),
        pytest.param(lambda content: content.replace(b"CERTIFICATE", b"X509 CERTIFICATE"), id="old-label"),
        pytest.param(lambda content: content.rstrip() + content, id="glued"),
        pytest.param(
            lambda content: content + b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", id="other-block"
        ),
    ],
)
def test_pem_as_users_paste_it(change: Callable[[bytes], bytes]) -> None:
    content = pem(catalogue("ca"))
    assert parse(encoded(change(content))) == parse(encoded(content))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: "\n".join(textwrap.wrap(data, 64)) + "\n", id="openssl-base64"),
        pytest.param(lambda data: "\r\n".join(textwrap.wrap(data, 76)), id="windows"),
        pytest.param(lambda data: f" \t{data}\n\n", id="block-scalar"),
    ],
)
def test_base64_as_users_paste_it(change: Callable[[str], str]) -> None:
    data = encoded(pem(catalogue("ca")))
    assert parse(change(data)) == parse(data)


def private_key(format_: PrivateFormat, *, password: bytes = b"", encoding: Encoding = Encoding.PEM) -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return KEY.private_bytes(encoding, format_, encryption)


PRIVATE_KEYS = {
    "pkcs8": encoded(private_key(PrivateFormat.PKCS8)),
    "ec": encoded(private_key(PrivateFormat.TraditionalOpenSSL)),
    "openssh": encoded(private_key(PrivateFormat.OpenSSH)),
    "encrypted": encoded(private_key(PrivateFormat.PKCS8, password=b"password")),
    "der": encoded(private_key(PrivateFormat.PKCS8, encoding=Encoding.DER)),
    "encrypted-der": encoded(private_key(PrivateFormat.PKCS8, password=b"password", encoding=Encoding.DER)),
    "beside-a-certificate": encoded(pem(catalogue("ca")) + private_key(PrivateFormat.PKCS8)),
    "cut": encoded(private_key(PrivateFormat.PKCS8)[:100]),
    "not-encoded": private_key(PrivateFormat.PKCS8).decode(),
    "encoded-twice": encoded(encoded(private_key(PrivateFormat.PKCS8)).encode()),
}


@pytest.mark.parametrize("name", PRIVATE_KEYS)
def test_a_private_key_is_refused_and_never_echoed(name: str) -> None:
    data = PRIVATE_KEYS[name]
    assert code(data) == "private-key"
    text = str(parse(data).findings[0])
    secret = private_key(PrivateFormat.PKCS8).decode().splitlines()[1]
    assert secret[:8] not in text
    assert data[40:60] not in text


@pytest.mark.parametrize("magic", [b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce"])
def test_a_java_keystore_is_refused_and_one_with_a_key_as_a_private_key(magic: bytes) -> None:
    certificates = magic + keystore(DER, DER)[4:]
    for wrapped in (encoded(certificates), encoded(encoded(certificates).encode())):
        assert code(wrapped) == "keystore"
    assert not holds_private_key(certificates)
    for odd in (
        keystore(DER, tag=1),
        keystore(DER, tag=3),
        keystore(DER, DER)[:60],
        magic + b"\0\0\0\2" + b"\xff" * 40,
    ):
        assert code(encoded(magic + odd[4:])) == "private-key"
        assert holds_private_key(magic + odd[4:])


DER = catalogue("ca").public_bytes(Encoding.DER)
PUBLIC_KEY = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
DEFECTS = {
    "characters": ("!!!", "not-base64"),
    "cut-base64": (encoded(pem(catalogue("ca")))[:-5], "not-base64"),
    "url-alphabet": (base64.urlsafe_b64encode(b"\xff\xfe\xfd").decode(), "not-base64"),
    "padding-inside": ("QUI=QUI=", "not-base64"),
    "pem-itself": (pem(catalogue("ca")).decode(), "not-base64"),
    "beyond-ascii": ("Größe", "not-base64"),
    "double-base64": (encoded(encoded(pem(catalogue("ca"))).encode()), "double-base64"),
    "double-base64-wrapped": (encoded(base64.encodebytes(pem(catalogue("ca")))), "double-base64"),
    "double-base64-of-der": (encoded(encoded(DER).encode()), "double-base64"),
    "der": (encoded(DER), "der"),
    "nothing": ("", "no-certificate"),
    "white-space": (" \n ", "no-certificate"),
    "prose": (encoded(b"hello"), "no-certificate"),
    "zeros": (encoded(b"\0" * 100), "no-certificate"),
    "other-der": (encoded(b"\x30\x03\x02\x01\x05"), "no-certificate"),
    "public-key": (encoded(PUBLIC_KEY), "no-certificate"),
    "no-end": (encoded(pem(catalogue("ca"))[:-10]), "unparsable-certificate"),
    "damaged": (encoded(pem(catalogue("ca")).replace(b"MII", b"MIJ", 1)), "unparsable-certificate"),
    "empty-block": (encoded(b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), "unparsable-certificate"),
    "one-of-two-damaged": (
        encoded(pem(catalogue("ca")) + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        "unparsable-certificate",
    ),
    "headers": (
        encoded(pem(catalogue("ca")).replace(b"-----\n", b"-----\nProc-Type: 4,ENCRYPTED\n\n", 1)),
        "unparsable-certificate",
    ),
    "too-large": ("A" * (MAX_LENGTH + 1), "too-large"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_defects_have_stable_codes(name: str) -> None:
    data, expected = DEFECTS[name]
    assert code(data) == expected


def test_findings_name_the_next_step() -> None:
    assert "openssl x509 -inform der" in str(parse(DEFECTS["der"][0]).findings[0])
    assert "PUBLIC KEY" in str(parse(DEFECTS["public-key"][0]).findings[0])
    assert "Certificate 2 of 2" in str(parse(DEFECTS["one-of-two-damaged"][0]).findings[0])


def test_many_begin_lines_are_parsed_in_linear_time() -> None:
    content = b"-----BEGIN A-----" * 60_000
    assert code(encoded(content)) == "no-certificate"


@given(st.text())
def test_any_text_gives_a_finding_or_certificates(data: str) -> None:
    assert bool(parse(data).findings) != bool(parse(data).certificates)


@given(st.binary())
def test_random_content_gives_a_finding(content: bytes) -> None:
    for candidate in (content, b"-----BEGIN CERTIFICATE-----\n" + content + b"\n-----END CERTIFICATE-----"):
        assert parse(encoded(candidate)).findings


@given(st.sampled_from(sorted(CATALOGUE)), st.data())
def test_parsing_a_damaged_certificate_never_raises(name: str, data: st.DataObject) -> None:
    der = bytearray(catalogue(name).public_bytes(Encoding.DER))
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, min(len(der) - 1, 400)))] = data.draw(st.integers(0, 255))
    body = base64.encodebytes(bytes(der))
    parsed = parse(encoded(b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"))
    assert bool(parsed.findings) != bool(parsed.certificates)


@given(
    names=st.lists(st.sampled_from(sorted(CATALOGUE)), min_size=1, max_size=4, unique=True),
    line_end=st.sampled_from([b"\n", b"\r\n"]),
    between=st.sampled_from([b"", b"# comment\n", b"subject=/CN=x\n\n"]),
    width=st.integers(20, 200),
    final_newline=st.booleans(),
)
def test_another_encoding_keeps_the_fingerprints(
    names: list[str],
    line_end: bytes,
    between: bytes,
    width: int,
    final_newline: bool,  # noqa: FBT001  drawn by name
) -> None:
    plain = b"".join(pem(catalogue(name)) for name in names)
    other = between.join([b"", *(pem(catalogue(name)) for name in names)]).replace(b"\n", line_end)
    other = other if final_newline else other.rstrip()
    assert parse("\n".join(textwrap.wrap(encoded(other), width))) == parse(encoded(plain))
