"""Lint the certificates of a trust list: predict how nodes will treat each before the list is applied."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gox509 import GoCertificate, MalformedError
from gox509.extensions import ANY_EXTENDED_KEY_USAGE, KEY_CERT_SIGN, SERVER_AUTH
from gox509.keys import DSAKey, RSAKey
from gox509.signatures import rsa_key_error
from trustplane.certificates.finding import Finding, error, warning
from trustplane.certificates.lint_encoding import lint_encoding
from trustplane.certificates.parsing import Certificate, parse

EXPIRES_SOON = dt.timedelta(days=30)
SMALL_RSA_BITS = 2048
_V3 = 3


@dataclass(frozen=True)
class Listed:
    """A certificate of a trust list and its location."""

    where: str
    certificate: Certificate


def lint(entries: Sequence[tuple[str, str]], at: dt.datetime, *, where: str = "additionalTrustedCAs") -> list[Finding]:
    """Lint a list of (name, data). Skip unreadable entries: `trust.entries.parse_list` reports those."""
    findings: list[Finding] = []
    listed: list[Listed] = []
    for index, (name, data) in enumerate(entries):
        location = f"{where}[{index}] ({name})"
        parsed = parse(data)
        if parsed.ok:
            findings += [finding.at(location) for finding in lint_encoding(data)]
            listed += [Listed(location, certificate) for certificate in parsed.certificates]
    return findings + lint_certificates(listed, at)


def lint_certificates(listed: Sequence[Listed], at: dt.datetime) -> list[Finding]:
    """Lint each certificate, and report duplicates."""
    findings: list[Finding] = []
    first: dict[str, str] = {}
    for item in listed:
        fingerprint = item.certificate.fingerprint
        if fingerprint in first:
            findings.append(_duplicate(first[fingerprint], item))
        else:
            first[fingerprint] = item.where
            findings += [finding.at(item.where) for finding in lint_certificate(item.certificate, at)]
    return findings


def lint_certificate(certificate: Certificate, at: dt.datetime) -> list[Finding]:
    """Lint one certificate as a CA for nodes to trust."""
    try:
        go = GoCertificate.read(certificate.der)
    except MalformedError as malformed:
        return [_unreadable(certificate, str(malformed))]
    findings = (*_lint_role(go), *_lint_validity(go, at), *_lint_cryptography(go), *_lint_restrictions(go))
    return [replace(finding, what=f"{go.subject}: {finding.what}") for finding in findings]


_USE_CA = "List the certificate of the CA that signed the registry's certificate"
_RENEW = "Ask the owner of the CA for its new certificate, and list it beside this one"


def _lint_role(certificate: GoCertificate) -> Iterator[Finding]:
    if certificate.version == _V3 and not certificate.is_ca:
        yield _not_a_ca(certificate)
    elif certificate.extensions.key_usage and KEY_CERT_SIGN not in certificate.extensions.key_usage:
        why = "Its key usage lacks keyCertSign: nodes refuse every certificate it signed"
        yield warning("no-key-cert-sign", "may not sign certificates", why, _USE_CA)
    elif certificate.version < _V3:
        why = "X.509 before version 3 does not mark CAs; nodes treat it as a CA because it is in this list"
        yield warning(
            "old-version",
            f"is X.509 version {certificate.version}",
            why,
            "Have the CA issue a new version 3 certificate",
        )


def _not_a_ca(certificate: GoCertificate) -> Finding:
    usages = certificate.extensions.extended_key_usage
    if certificate.dns_names or certificate.ip_addresses or SERVER_AUTH in usages:
        why = "Nodes trust only this server, and only until it renews its certificate"
        return warning("leaf", "is a server certificate, not a CA", why, _USE_CA)
    missing = "says CA:FALSE" if certificate.extensions.has_basic_constraints else "has no basic constraints"
    why = f"It {missing}: nodes refuse every certificate it signed"
    return warning("not-a-ca", "is not a CA", why, _USE_CA)


def _lint_validity(certificate: GoCertificate, at: dt.datetime) -> Iterator[Finding]:
    now = at.timestamp()
    if now > certificate.not_after.seconds:
        yield warning(
            "expired", f"expired on {certificate.not_after.text}", "Nodes refuse every certificate it signed", _RENEW
        )
    elif now > certificate.not_after.seconds - EXPIRES_SOON.total_seconds():
        why = "From then on, nodes refuse every certificate it signed"
        yield warning("expires-soon", f"expires on {certificate.not_after.text}", why, _RENEW)
    if now < certificate.not_before.seconds:
        why = "Until then, nodes refuse every certificate it signed"
        step = "Keep the current CA in the list until then"
        yield warning("not-yet-valid", f"is valid only from {certificate.not_before.text}", why, step)


def _lint_cryptography(certificate: GoCertificate) -> Iterator[Finding]:
    algorithm = certificate.algorithm
    if algorithm is None or algorithm.is_insecure:
        name = algorithm.name if algorithm else "an algorithm that nodes do not support"
        why = "Nodes do not check the signature of a trust anchor, but they refuse this certificate below another CA"
        step = "Have the CA sign with SHA-256 or better: other programs check this signature"
        yield warning("weak-signature", f"is signed with {name}", why, step)
    if isinstance(certificate.key, RSAKey):
        yield from _lint_rsa(certificate.key)
    elif certificate.key is None or isinstance(certificate.key, DSAKey):
        why = "Nodes cannot verify signatures with such a key, so the entry has no effect"
        yield warning("unusable-key", "has a public key of a type that nodes do not support", why, _USE_CA)


def _lint_rsa(key: RSAKey) -> Iterator[Finding]:
    refusal = rsa_key_error(key)
    if refusal:
        why = f"Nodes refuse every certificate it signed: {refusal}"
        yield warning("unusable-key", "has an RSA key that nodes refuse", why, "Have the CA create a new key")
    elif key.modulus.bit_length() < SMALL_RSA_BITS:
        why = "Nodes still accept it; TLS libraries of other programs refuse RSA keys below 2048 bits"
        yield warning(
            "small-key", f"has an RSA key of {key.modulus.bit_length()} bits", why, "Have the CA create a new key"
        )


def _lint_restrictions(certificate: GoCertificate) -> Iterator[Finding]:
    unhandled = certificate.extensions.unhandled_critical
    if unhandled:
        why = f"Nodes refuse every chain with it, because they do not support {', '.join(unhandled[:3])}"
        yield warning(
            "unhandled-critical-extension", "has a critical extension that nodes do not support", why, _USE_CA
        )
    usages = certificate.extensions.extended_key_usage
    if usages and not {SERVER_AUTH, ANY_EXTENDED_KEY_USAGE}.intersection(usages):
        why = "Its extended key usage lacks serverAuth: nodes refuse every server below it"
        yield warning("no-server-auth", "is not for servers", why, _USE_CA)


def _unreadable(certificate: Certificate, reason: str) -> Finding:
    return error(
        "unreadable-on-nodes",
        f"{certificate.subject}: nodes cannot read this certificate",
        f"containerd, CRI-O and the kubelet silently ignore it: {reason}",
        "Have the CA reissue the certificate",
    )


def _duplicate(first: str, again: Listed) -> Finding:
    return warning(
        "duplicate-certificate",
        f"{again.certificate.subject} is listed twice, first in {first}",
        "Removing one of them does not remove the trust",
        "Remove one of the two",
    ).at(again.where)
