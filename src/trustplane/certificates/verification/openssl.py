"""Explain differences between OpenSSL 3 and nodes to users who compare with `openssl s_client` or curl.

It models X509_verify_cert for servers at security level 2, the default of Linux distributions, with the host name
checked. Nothing is decided by it.
"""

import datetime as dt
import itertools
from collections.abc import Iterator, Sequence

from trustplane.certificates.verification.addresses import read_address, unmapped
from trustplane.certificates.verification.building import Chain
from trustplane.certificates.verification.certificate import GoCertificate
from trustplane.certificates.verification.constraints import constraint_error
from trustplane.certificates.verification.domains import lower_ascii
from trustplane.certificates.verification.extensions import (
    EXTENDED_KEY_USAGE,
    KEY_CERT_SIGN,
    NAME_CONSTRAINTS,
    SERVER_AUTH,
)
from trustplane.certificates.verification.keys import DSAKey, ECKey, Ed25519Key, RSAKey
from trustplane.certificates.verification.names import DistinguishedName
from trustplane.certificates.verification.pool import Pool
from trustplane.certificates.verification.signatures import KeyKind, signature_error
from trustplane.certificates.verification.verdict import Verdict

_MIN_RSA_BITS = 2048  # security level 2
_MIN_EC_BITS = 224
_TLS_KEY_USAGES = {0, 2, 4}  # digitalSignature, keyEncipherment, keyAgreement
_SERVER_GATED = {"1.3.6.1.4.1.311.10.3.3", "2.16.840.1.113730.4.1"}
_MAX_DEPTH = 100
_KEY_KINDS = {RSAKey: KeyKind.RSA, ECKey: KeyKind.ECDSA, Ed25519Key: KeyKind.ED25519, DSAKey: KeyKind.DSA}
_V3 = 3


def openssl_difference(verdict: Verdict, served: Sequence[bytes], trust: Pool, host: str, at: dt.datetime) -> str:
    """Return why OpenSSL would decide differently from nodes, or ""."""
    try:
        certificates = [GoCertificate.read(der) for der in served]
    except ValueError:
        return ""  # Go cannot parse them, so this model cannot judge them
    refusal = openssl_refusal(certificates, trust, host, at) if certificates else ""
    if verdict.trusted and refusal:
        return f"OpenSSL refuses: {refusal}"
    if not verdict.trusted and certificates and not refusal:
        return "OpenSSL accepts: it does not apply the check that fails on nodes"
    return ""


def openssl_refusal(served: Sequence[GoCertificate], trust: Pool, host: str, at: dt.datetime) -> str:
    """Return why OpenSSL would refuse a chain, or ""."""
    chain, complete = _build(served, trust, at.timestamp())
    if not complete:
        return _unfinished(chain)
    checks = (_usages(chain), _strength(chain), _names(chain[0], host), _signatures_and_times(chain, at.timestamp()))
    return next(itertools.chain(*checks), "") or constraint_error(chain)


def _unfinished(chain: Chain) -> str:
    last = chain[-1]
    if last.is_self_issued:
        return f"{last} is self-signed and not in the list"
    return f"no self-signed CA in the list completes the chain after {last}; without -partial_chain, OpenSSL needs one"


def _build(served: Sequence[GoCertificate], trust: Pool, now: float) -> tuple[Chain, bool]:
    """Build the chain as OpenSSL does: trusted issuers first, no backtracking. Return it, and whether it is trusted."""
    chain, rest, trusted_part = [served[0]], list(served[1:]), False
    while len(chain) < _MAX_DEPTH:
        last = chain[-1]
        if _is_self_signed(last):
            return tuple(chain), trusted_part or last in trust
        issuer = _issuer(last, trust, now, chain)
        if issuer is not None:
            trusted_part = True
        elif trusted_part:
            break
        else:
            issuer = _issuer(last, rest, now, chain)
        if issuer is None:
            break
        chain.append(issuer)
    return tuple(chain), False


def _is_self_signed(certificate: GoCertificate) -> bool:
    subject, issuer = _canonical(certificate.subject), _canonical(certificate.issuer)
    return subject == issuer and _fits(certificate, certificate)


def _issuer(
    child: GoCertificate, candidates: Pool | Sequence[GoCertificate], now: float, chain: Sequence[GoCertificate]
) -> GoCertificate | None:
    """Return the first issuer valid now, else the one that expires last."""
    name = _canonical(child.issuer)
    issuers = [
        candidate
        for candidate in candidates
        if candidate not in chain and _canonical(candidate.subject) == name and _fits(child, candidate)
    ]
    current = (issuer for issuer in issuers if _is_valid(issuer, now))
    return next(current, max(issuers, key=lambda issuer: issuer.not_after.seconds, default=None))


def _is_valid(certificate: GoCertificate, now: float) -> bool:
    return certificate.not_before.seconds <= now < certificate.not_after.seconds


def _fits(child: GoCertificate, issuer: GoCertificate) -> bool:
    usage = issuer.extensions.key_usage
    key_fits = child.algorithm is None or _KEY_KINDS.get(type(issuer.key)) == child.algorithm.kind
    return key_fits and _identifiers_match(child, issuer) and (not usage or KEY_CERT_SIGN in usage)


def _identifiers_match(child: GoCertificate, issuer: GoCertificate) -> bool:
    expected, actual = child.extensions.authority_key_id, issuer.extensions.subject_key_id
    return not expected or not actual or expected == actual


def _canonical(name: DistinguishedName) -> tuple[tuple[str, str], ...]:
    """Return a name in the form that OpenSSL compares: lower case, single spaces."""
    return tuple((kind, lower_ascii(" ".join(value.split()))) for kind, value in name.attributes)


def _usages(chain: Chain) -> Iterator[str]:
    length = 0
    for depth, certificate in enumerate(chain):
        extensions = certificate.extensions
        if [kind for kind in extensions.unhandled_critical if kind != NAME_CONSTRAINTS]:
            yield f"{certificate} has an unknown critical extension"
        if depth and not _is_authority(certificate, last=certificate is chain[-1]):
            yield f"{certificate} is not a CA"
        usages = set(extensions.extended_key_usage)
        if EXTENDED_KEY_USAGE in extensions.raw and not usages & {SERVER_AUTH, *_SERVER_GATED}:
            yield f"{certificate} is not for servers (extended key usage)"
        if not depth and extensions.key_usage and not extensions.key_usage & _TLS_KEY_USAGES:
            yield f"{certificate} is not for TLS (key usage)"
        if depth and 0 <= extensions.max_path_length < length:
            yield f"{certificate} allows fewer CAs below it (path length)"
        length += depth > 0 and not certificate.is_self_issued


def _is_authority(certificate: GoCertificate, *, last: bool) -> bool:
    """Return whether a certificate counts as a CA; the last of a chain may predate basic constraints."""
    extensions = certificate.extensions
    if extensions.key_usage and KEY_CERT_SIGN not in extensions.key_usage:
        return False
    if extensions.has_basic_constraints:
        return extensions.is_ca
    return last and ((certificate.version < _V3 and certificate.is_self_issued) or bool(extensions.key_usage))


def _strength(chain: Chain) -> Iterator[str]:
    for depth, certificate in enumerate(chain):
        bits = certificate.key.modulus.bit_length() if isinstance(certificate.key, RSAKey) else 0
        if isinstance(certificate.key, RSAKey) and bits < _MIN_RSA_BITS:
            yield f"the RSA key of {certificate} has {bits} bits; security level 2 requires {_MIN_RSA_BITS}"
        if isinstance(certificate.key, ECKey) and certificate.key.curve.key_size < _MIN_EC_BITS:
            yield f"the key of {certificate} is too small"
        is_anchor = depth == len(chain) - 1
        if certificate.algorithm and certificate.algorithm.is_insecure and not is_anchor:
            yield f"{certificate} is signed with {certificate.algorithm.name}"


def _names(leaf: GoCertificate, host: str) -> Iterator[str]:
    address = read_address(host.strip("[]"))
    if not host:
        return
    if address is not None:
        if not any(unmapped(octets) == address for octets in leaf.ip_addresses):
            yield f"{leaf} is not valid for address {host}"
        return
    names = leaf.dns_names or [value for kind, value in leaf.subject.attributes if kind == "2.5.4.3"]
    if not any(_host_matches(lower_ascii(name), lower_ascii(host)) for name in names):
        yield f"{leaf} is not valid for {host}"


def _host_matches(pattern: str, host: str) -> bool:
    """Match as X509_check_host does: a wildcard may be part of the first label, and at least two labels must follow."""
    if "*" not in pattern:
        return pattern == host
    first, _, rest = pattern.partition(".")
    label, _, parent = host.partition(".")
    before, _, after = first.partition("*")
    if "*" in after or "*" in rest or "." not in rest or rest != parent or first.startswith("xn--"):
        return False
    return len(label) >= len(before) + len(after) and label.startswith(before) and label.endswith(after)


def _signatures_and_times(chain: Chain, now: float) -> Iterator[str]:
    for child, issuer in itertools.pairwise(chain):
        error = signature_error(child.algorithm, child.tbs, child.signature, issuer.key)
        if error and not (child.algorithm and child.algorithm.is_insecure):
            yield f"the signature on {child} does not fit {issuer}"
    for certificate in chain:
        if not _is_valid(certificate, now):
            yield f"{certificate} is not valid at this time"
