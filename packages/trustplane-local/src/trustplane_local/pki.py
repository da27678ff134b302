"""Private certificate authorities of a stack, kept in folders: one of the Supervisor, one of each registry.

Everything here is idempotent: what is there, belongs together and stays valid for a while is left alone; the rest is
made anew. Keys outlive certificates, so a renewal changes no key.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from trustplane_local import files

AUTHORITY = "ca"  # the file name of the authority's own certificate and key
AUTHORITY_LIFE = dt.timedelta(days=3650)
LEAF_LIFE = dt.timedelta(days=365)
RENEW_BEFORE = dt.timedelta(days=30)
CLOCK_SKEW = dt.timedelta(hours=1)

_PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Leaf:
    """A certificate that is wanted: `<name>.crt` and `<name>.key`."""

    name: str
    common_name: str
    organization: str = ""
    hosts: tuple[str, ...] = ()  # DNS names and IP addresses that it serves
    client: bool = False  # whether it may authenticate as a client


def keep_certificates(folder: Path, authority: str, leaves: Sequence[Leaf], now: dt.datetime) -> None:
    """Make an authority and its certificates where they are missing, do not match, or end soon.

    Args:
        folder: of `ca.crt`, `ca.key` and the leaves' files; private keys are readable by their owner only.
        authority: common name of the authority.
        leaves: what it certifies.
        now: the present.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ca_key = _keep_key(folder / f"{AUTHORITY}.key")
    ca = _load(folder / f"{AUTHORITY}.crt")
    if ca is None or not _fits(ca, ca_key, ca, now):
        ca = _self_signed(authority, ca_key, now)
        files.write_atomically(folder / f"{AUTHORITY}.crt", ca.public_bytes(serialization.Encoding.PEM))
    for leaf in leaves:
        key = _keep_key(folder / f"{leaf.name}.key")
        present = _load(folder / f"{leaf.name}.crt")
        if present is None or not _fits(present, key, ca, now) or set(leaf.hosts) != hosts_of(present):
            _put(folder, leaf, _issue(leaf, key, ca, ca_key, now))


def issue_certificate(folder: Path, leaf: Leaf, now: dt.datetime) -> None:
    """Issue a certificate anew, by the authority of its folder, as at a time that may be long ago."""
    ca = x509.load_pem_x509_certificate((folder / f"{AUTHORITY}.crt").read_bytes())
    ca_key, key = (_keep_key(folder / f"{name}.key") for name in (AUTHORITY, leaf.name))
    _put(folder, leaf, _issue(leaf, key, ca, ca_key, now))


def renew_authority(folder: Path, now: dt.datetime) -> bytes:
    """Return another certificate of a folder's authority, PEM: same name and key, new content. Nothing is written."""
    certificate = x509.load_pem_x509_certificate((folder / f"{AUTHORITY}.crt").read_bytes())
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    key = _keep_key(folder / f"{AUTHORITY}.key")
    return _self_signed(str(name.value), key, now).public_bytes(serialization.Encoding.PEM)


def _put(folder: Path, leaf: Leaf, issued: x509.Certificate) -> None:
    files.write_atomically(folder / f"{leaf.name}.crt", issued.public_bytes(serialization.Encoding.PEM))


def keep_service_account_key(folder: Path) -> None:
    """Make `sa.key` and `sa.pub`, with which the apiserver signs and checks tokens, where they are missing."""
    key = _read_key(folder / "sa.key")
    if key is None:
        key = rsa.generate_private_key(65537, 2048)
        _write_key(folder / "sa.key", key)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    files.write_atomically(folder / "sa.pub", public)


def hosts_of(certificate: x509.Certificate) -> set[str]:
    """Return the DNS names and addresses of a certificate."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = (str(address) for address in names.get_values_for_type(x509.IPAddress))
    return {*names.get_values_for_type(x509.DNSName), *addresses}


def _fits(certificate: x509.Certificate, key: _PrivateKey, issuer: x509.Certificate, now: dt.datetime) -> bool:
    """Tell whether a certificate is of that key and issuer, and stays valid for a while."""
    if certificate.public_key() != key.public_key():
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # noqa: BLE001 - ValueError, TypeError or InvalidSignature: it is not that issuer's
        return False
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - RENEW_BEFORE


def _self_signed(common_name: str, key: _PrivateKey, now: dt.datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    usage = _usage(key_cert_sign=True, crl_sign=True)
    return (
        _builder(name, name, key, now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )


def _issue(
    leaf: Leaf, key: _PrivateKey, ca: x509.Certificate, ca_key: _PrivateKey, now: dt.datetime
) -> x509.Certificate:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name)]
    if leaf.organization:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, leaf.organization))
    builder = (
        _builder(x509.Name(attributes), ca.subject, key, now, LEAF_LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_purposes(leaf)), critical=False)
        .add_extension(_authority_key(ca), critical=False)
    )
    if leaf.hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(one) for one in leaf.hosts]), critical=False)
    return builder.sign(ca_key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: _PrivateKey, now: dt.datetime, life: dt.timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _authority_key(ca: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    subject_key = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject_key)


def _purposes(leaf: Leaf) -> list[x509.ObjectIdentifier]:
    server = [ExtendedKeyUsageOID.SERVER_AUTH] if leaf.hosts else []
    return [*server, *([ExtendedKeyUsageOID.CLIENT_AUTH] if leaf.client else [])]


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _keep_key(file: Path) -> _PrivateKey:
    key = _read_key(file)
    if key is None:
        key = ec.generate_private_key(ec.SECP256R1())
        _write_key(file, key)
    return key


def _read_key(file: Path) -> _PrivateKey | None:
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (FileNotFoundError, ValueError):
        return None
    return key if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) else None


def _load(file: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _write_key(file: Path, key: _PrivateKey) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files.write_atomically(file, pem, mode=0o600)
