"""What OpenSSL 3 would decide, in words, where it differs from nodes: users compare with `openssl s_client` and curl.

A model of X509_verify_cert for servers at security level 2, as distributions build it, with the host name checked. It
explains; nothing is decided by it.
"""

import datetime as dt
import itertools
from collections.abc import Iterator, Sequence

from trustplane.certificates.verification.addresses import read_address, unmapped
from trustplane.certificates.verification.building import Chain
from trustplane.certificates.verification.certificate import GoCertificate
from trustplane.certificates.verification.constraints import constraint_error
from trustplane.certificates.verification.domains import lower
from trustplane.certificates.verification.extensions import (
    EXTENDED_KEY_USAGE,
    KEY_CERT_SIGN,
    NAME_CONSTRAINTS,
    SERVER_AUTH,
)
from trustplane.certificates.verification.keys import DSAKey, ECKey, Ed25519Key, RSAKey
from trustplane.certificates.verification.names import Name
from trustplane.certificates.verification.pool import Pool
from trustplane.certificates.verification.signatures import Kind, signature_error
from trustplane.certificates.verification.verdict import Verdict

_MIN_RSA_BITS = 2048  # security level 2
_MIN_EC_BITS = 224
_TLS_KEY_USAGES = {0, 2, 4}  # digitalSignature, keyEncipherment, keyAgreement
_SERVER_GATED = {"1.3.6.1.4.1.311.10.3.3", "2.16.840.1.113730.4.1"}
_MAX_DEPTH = 100
_KINDS = {RSAKey: Kind.RSA, ECKey: Kind.ECDSA, Ed25519Key: Kind.ED25519, DSAKey: Kind.DSA}
_V3 = 3


def difference(verdict: Verdict, served: Sequence[bytes], trust: Pool, host: str, at: dt.datetime) -> str:
    """Say why OpenSSL decides otherwise than the verdict of nodes, or ""."""
    try:
        certificates = [GoCertificate.read(der) for der in served]
    except ValueError:
        return ""  # only Go's refusal is known
    refusal = refusal_of(certificates, trust, host, at) if certificates else ""
    if verdict.trusted and refusal:
        return f"OpenSSL refuses: {refusal}"
    if not verdict.trusted and certificates and not refusal:
        return "OpenSSL accepts: it does not check what nodes refuse"
    return ""


def refusal_of(served: Sequence[GoCertificate], trust: Pool, host: str, at: dt.datetime) -> str:
    """Return why OpenSSL refuses a chain, or ""."""
    chain, complete = _build(served, trust, at.timestamp())
    if not complete:
        return _unfinished(chain)
    checks = (_usages(chain), _strength(chain), _names(chain[0], host), _signatures_and_times(chain, at.timestamp()))
    return next(itertools.chain(*checks), "") or constraint_error(chain)


def _unfinished(chain: Chain) -> str:
    last = chain[-1]
    if last.is_self_issued:
        return f"{last} is self-signed and not in the list"
    return f"no self-signed CA of the list ends the chain after {last}; without -partial_chain it needs one"


def _build(served: Sequence[GoCertificate], trust: Pool, now: float) -> tuple[Chain, bool]:
    """Build the one chain that OpenSSL builds: trusted issuers first, no step back. True when it ends in trust."""
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


def _is_self_signed(one: GoCertificate) -> bool:
    return _canonical(one.subject) == _canonical(one.issuer) and _fits(one, one)


def _issuer(
    child: GoCertificate, candidates: Pool | Sequence[GoCertificate], now: float, chain: Sequence[GoCertificate]
) -> GoCertificate | None:
    """Pick the first issuer that is valid now, else the one that is valid longest."""
    wanted = _canonical(child.issuer)
    found = [one for one in candidates if one not in chain and _canonical(one.subject) == wanted and _fits(child, one)]
    current = (one for one in found if _is_valid(one, now))
    return next(current, max(found, key=lambda one: one.not_after.seconds, default=None))


def _is_valid(one: GoCertificate, now: float) -> bool:
    return one.not_before.seconds <= now < one.not_after.seconds


def _fits(child: GoCertificate, issuer: GoCertificate) -> bool:
    usage = issuer.extensions.key_usage
    suits = child.algorithm is None or _KINDS.get(type(issuer.key)) == child.algorithm.kind
    return suits and _identifiers_match(child, issuer) and (not usage or KEY_CERT_SIGN in usage)


def _identifiers_match(child: GoCertificate, issuer: GoCertificate) -> bool:
    wanted, own = child.extensions.authority_key_id, issuer.extensions.subject_key_id
    return not wanted or not own or wanted == own


def _canonical(name: Name) -> tuple[tuple[str, str], ...]:
    """Compare names as OpenSSL does: without case, and with single blanks."""
    return tuple((kind, lower(" ".join(value.split()))) for kind, value in name.attributes)


def _usages(chain: Chain) -> Iterator[str]:
    length = 0
    for depth, one in enumerate(chain):
        extensions = one.extensions
        if [kind for kind in extensions.unhandled_critical if kind != NAME_CONSTRAINTS]:
            yield f"{one} has an unknown critical extension"
        if depth and not _is_authority(one, last=one is chain[-1]):
            yield f"{one} is not a CA"
        usages = set(extensions.extended_key_usage)
        if EXTENDED_KEY_USAGE in extensions.raw and not usages & {SERVER_AUTH, *_SERVER_GATED}:
            yield f"{one} is not for servers (extended key usage)"
        if not depth and extensions.key_usage and not extensions.key_usage & _TLS_KEY_USAGES:
            yield f"{one} is not for TLS (key usage)"
        if depth and 0 <= extensions.max_path_length < length:
            yield f"{one} allows fewer CAs below it (path length)"
        length += depth > 0 and not one.is_self_issued


def _is_authority(one: GoCertificate, *, last: bool) -> bool:
    """Tell whether a certificate counts as a CA; the last of a chain may be of the time before basic constraints."""
    extensions = one.extensions
    if extensions.key_usage and KEY_CERT_SIGN not in extensions.key_usage:
        return False
    if extensions.has_basic_constraints:
        return extensions.is_ca
    return last and ((one.version < _V3 and one.is_self_issued) or bool(extensions.key_usage))


def _strength(chain: Chain) -> Iterator[str]:
    for depth, one in enumerate(chain):
        bits = one.key.modulus.bit_length() if isinstance(one.key, RSAKey) else 0
        if isinstance(one.key, RSAKey) and bits < _MIN_RSA_BITS:
            yield f"the RSA key of {one} has {bits} bits; security level 2 wants {_MIN_RSA_BITS}"
        if isinstance(one.key, ECKey) and one.key.curve.key_size < _MIN_EC_BITS:
            yield f"the key of {one} is too small"
        is_anchor = depth == len(chain) - 1
        if one.algorithm and one.algorithm.is_insecure and not is_anchor:
            yield f"{one} is signed with {one.algorithm.name}"


def _names(leaf: GoCertificate, host: str) -> Iterator[str]:
    address = read_address(host.strip("[]"))
    if not host:
        return
    if address is not None:
        if not any(unmapped(one) == address for one in leaf.ip_addresses):
            yield f"{leaf} is not for the address {host}"
        return
    names = leaf.dns_names or [value for kind, value in leaf.subject.attributes if kind == "2.5.4.3"]
    if not any(_host_matches(lower(name), lower(host)) for name in names):
        yield f"{leaf} is not for {host}"


def _host_matches(pattern: str, host: str) -> bool:
    """Match as X509_check_host does: a wildcard may be part of the first label, and needs two labels behind it."""
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
        words = signature_error(child.algorithm, child.tbs, child.signature, issuer.key)
        if words and not (child.algorithm and child.algorithm.is_insecure):
            yield f"the signature on {child} does not fit {issuer}"
    for one in chain:
        if not _is_valid(one, now):
            yield f"{one} is not valid at this time"
