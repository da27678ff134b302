"""What is wrong, or odd, about the certificates of a list: what nodes will make of each, before it is applied."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from trustplane.certificates.finding import Finding, error, warning
from trustplane.certificates.lint_encoding import lint_encoding
from trustplane.certificates.parsing import Certificate, parse
from trustplane.certificates.verification import GoCertificate, MalformedError
from trustplane.certificates.verification.extensions import ANY_EXTENDED_KEY_USAGE, KEY_CERT_SIGN, SERVER_AUTH
from trustplane.certificates.verification.keys import DSAKey, RSAKey
from trustplane.certificates.verification.signatures import rsa_key_error

EXPIRES_SOON = dt.timedelta(days=30)
SMALL_RSA_BITS = 2048
_V3 = 3


@dataclass(frozen=True)
class Listed:
    """A certificate of a list, and where it stands."""

    where: str
    certificate: Certificate


def lint(entries: Sequence[tuple[str, str]], at: dt.datetime, *, where: str = "additionalTrustedCAs") -> list[Finding]:
    """Find what is odd about a list of (name, data). Entries that cannot be read are left to `trust.entries.read`."""
    findings: list[Finding] = []
    listed: list[Listed] = []
    for index, (name, data) in enumerate(entries):
        place = f"{where}[{index}] ({name})"
        parsed = parse(data)
        if parsed.ok:
            findings += [one.at(place) for one in lint_encoding(data)]
            listed += [Listed(place, one) for one in parsed.certificates]
    return findings + lint_certificates(listed, at)


def lint_certificates(listed: Sequence[Listed], at: dt.datetime) -> list[Finding]:
    """Find what is odd about certificates, each for itself and among each other."""
    findings: list[Finding] = []
    first: dict[str, str] = {}
    for one in listed:
        fingerprint = one.certificate.fingerprint
        if fingerprint in first:
            findings.append(_duplicate(first[fingerprint], one))
        else:
            first[fingerprint] = one.where
            findings += [finding.at(one.where) for finding in lint_certificate(one.certificate, at)]
    return findings


def lint_certificate(certificate: Certificate, at: dt.datetime) -> list[Finding]:
    """Find what is odd about one certificate as a CA that nodes shall trust."""
    try:
        read = GoCertificate.read(certificate.der)
    except MalformedError as malformed:
        return [_unreadable(certificate, str(malformed))]
    rules = (*_role(read), *_validity(read, at), *_cryptography(read), *_restrictions(read))
    return [replace(one, what=f"{read.subject}: {one.what}") for one in rules]


_USE_CA = "List the certificate of the CA that signed the registry's certificate"
_RENEW = "Ask the owner of the CA for its new certificate, and list that beside this one"


def _role(read: GoCertificate) -> Iterator[Finding]:
    if read.version == _V3 and not read.is_ca:
        yield _not_a_ca(read)
    elif read.extensions.key_usage and KEY_CERT_SIGN not in read.extensions.key_usage:
        why = "Its key usage lacks keyCertSign: nodes refuse every certificate that it signed"
        yield warning("no-key-cert-sign", "may not sign certificates", why, _USE_CA)
    elif read.version < _V3:
        why = "X.509 before version 3 cannot say whether a certificate is a CA; nodes still take it as one in this list"
        yield warning(
            "old-version", f"is X.509 version {read.version}", why, "Have the CA issue a new certificate of version 3"
        )


def _not_a_ca(read: GoCertificate) -> Finding:
    usages = read.extensions.extended_key_usage
    if read.dns_names or read.ip_addresses or SERVER_AUTH in usages:
        why = "Nodes trust it for exactly this server, and no longer when the server renews its certificate"
        return warning("leaf", "is the certificate of a server, not of a CA", why, _USE_CA)
    missing = "says CA:FALSE" if read.extensions.has_basic_constraints else "has no basic constraints"
    why = f"It {missing}: nodes refuse every certificate that it signed"
    return warning("not-a-ca", "is not a CA", why, _USE_CA)


def _validity(read: GoCertificate, at: dt.datetime) -> Iterator[Finding]:
    now = at.timestamp()
    if now > read.not_after.seconds:
        yield warning("expired", f"expired on {read.not_after.text}", "Nodes refuse what it signed", _RENEW)
    elif now > read.not_after.seconds - EXPIRES_SOON.total_seconds():
        why = "From then on nodes refuse what it signed"
        yield warning("expires-soon", f"expires on {read.not_after.text}", why, _RENEW)
    if now < read.not_before.seconds:
        why = "Until then nodes refuse what it signed"
        step = "Keep the present CA in the list as well"
        yield warning("not-yet-valid", f"is valid only from {read.not_before.text}", why, step)


def _cryptography(read: GoCertificate) -> Iterator[Finding]:
    algorithm = read.algorithm
    if algorithm is None or algorithm.is_insecure:
        name = algorithm.name if algorithm else "an algorithm that nodes do not know"
        why = "Nodes do not check the signature of a certificate in this list; below a CA they refuse it"
        step = "Have the CA sign with SHA-256 or better: others check this signature too"
        yield warning("weak-signature", f"is signed with {name}", why, step)
    if isinstance(read.key, RSAKey):
        yield from _rsa(read.key)
    elif read.key is None or isinstance(read.key, DSAKey):
        why = "Nodes verify no signature with such a key, so the entry has no effect"
        yield warning("unusable-key", "has a public key of a kind that nodes do not use", why, _USE_CA)


def _rsa(key: RSAKey) -> Iterator[Finding]:
    refused = rsa_key_error(key)
    if refused:
        why = f"Nodes refuse what it signed: {refused}"
        yield warning("unusable-key", "has an RSA key that nodes refuse", why, "Have the CA make a new key")
    elif key.modulus.bit_length() < SMALL_RSA_BITS:
        why = "Nodes still accept it; TLS libraries of other programs refuse RSA keys below 2048 bits"
        yield warning(
            "small-key", f"has an RSA key of {key.modulus.bit_length()} bits", why, "Have the CA make a new key"
        )


def _restrictions(read: GoCertificate) -> Iterator[Finding]:
    unhandled = read.extensions.unhandled_critical
    if unhandled:
        why = f"Nodes refuse every chain with it, as they do not know {', '.join(unhandled[:3])}"
        yield warning("unhandled-critical-extension", "has a critical extension that nodes do not know", why, _USE_CA)
    usages = read.extensions.extended_key_usage
    if usages and not {SERVER_AUTH, ANY_EXTENDED_KEY_USAGE}.intersection(usages):
        why = "Its extended key usage lacks serverAuth: nodes refuse every server below it"
        yield warning("no-server-auth", "is not for servers", why, _USE_CA)


def _unreadable(certificate: Certificate, words: str) -> Finding:
    return error(
        "unreadable-on-nodes",
        f"{certificate.subject}: nodes cannot read this certificate",
        f"containerd, CRI-O and the kubelet leave it out without a word: {words}",
        "Have the CA issue the certificate anew",
    )


def _duplicate(first: str, again: Listed) -> Finding:
    return warning(
        "duplicate-certificate",
        f"{again.certificate.subject} is listed twice, first in {first}",
        "While one of the two stays, removing the other removes no trust",
        "Remove one of the two",
    ).at(again.where)
