"""The decision that containerd, CRI-O and the kubelet make about a registry's certificates: Go 1.26's, in full.

`Certificate.Verify` of crypto/x509 with the node's trust list as roots, the rest of the served chain as intermediates
and the key usage of servers, and the checks that crypto/tls makes around it.
"""

import datetime as dt
from collections.abc import Sequence

from trustplane.certificates.verification.building import Builder, Chain, validity_failure
from trustplane.certificates.verification.certificate import GoCertificate
from trustplane.certificates.verification.constraints import constraint_error
from trustplane.certificates.verification.der import MalformedError
from trustplane.certificates.verification.explanation import explain
from trustplane.certificates.verification.extensions import ANY_EXTENDED_KEY_USAGE, SERVER_AUTH
from trustplane.certificates.verification.failures import Failure, Reason
from trustplane.certificates.verification.hostname import mismatch
from trustplane.certificates.verification.instants import Instant
from trustplane.certificates.verification.keys import DSAKey, RSAKey
from trustplane.certificates.verification.policies import policies_allow
from trustplane.certificates.verification.pool import Pool
from trustplane.certificates.verification.verdict import Verdict

MAX_RSA_BITS = 8192  # of crypto/tls, for every certificate that the server sends


def verify(served: Sequence[bytes], trust: Pool, host: str, at: dt.datetime) -> Verdict:
    """Decide as a node decides.

    Args:
        served: What the server sends, DER, its own certificate first.
        trust: The node's trust list, in its order.
        host: The DNS name or IP address that is dialled, without a port; "" leaves the name unchecked.
        at: The time, with a zone.
    """
    now = Instant.of(at)
    try:
        certificates = [_read(der) for der in served]
    except _UnreadableError as error:
        return explain(error.failure, (), None, trust)
    if not certificates:
        return explain(Failure(Reason.NO_CERTIFICATE, "tls: received empty certificates message"), (), None, trust)
    leaf = certificates[0]
    builder = Builder(trust, Pool(certificates[1:]), now)
    failure = validity_failure(leaf, now) or _host_failure(leaf, host)
    if failure:
        return explain(failure, (leaf,), None, trust)
    chains, failure = ([(leaf,)], None) if leaf in trust else builder.build((leaf,))
    if failure:
        return explain(failure, (leaf,), builder, trust)
    good, failure = _usable(chains, leaf)
    failure = failure or _key_failure(leaf)
    if failure:
        return explain(failure, chains[0], None, trust)
    anchors = dict.fromkeys(chain[-1].fingerprint for chain in good)
    return Verdict(trusted=True, chain=good[0], anchors=tuple(anchors))


class _UnreadableError(Exception):
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def _read(der: bytes) -> GoCertificate:
    try:
        one = GoCertificate.read(der)
    except MalformedError as error:
        words = f"tls: failed to parse certificate from server: {error}"
        raise _UnreadableError(Failure(Reason.MALFORMED, words)) from None
    if isinstance(one.key, RSAKey) and one.key.modulus.bit_length() > MAX_RSA_BITS:
        words = f"tls: server sent certificate containing RSA key larger than {MAX_RSA_BITS} bits"
        raise _UnreadableError(Failure(Reason.KEY_TOO_LARGE, words, one))
    return one


def _host_failure(leaf: GoCertificate, host: str) -> Failure | None:
    words = mismatch(leaf, host) if host else ""
    return Failure(Reason.HOST, words, leaf) if words else None


def _key_failure(leaf: GoCertificate) -> Failure | None:
    """Check that TLS can be spoken with the server's key."""
    if leaf.key is not None and not isinstance(leaf.key, DSAKey):
        return None
    kind = leaf.key.go_type if leaf.key else "<nil>"
    words = f"tls: server's certificate contains an unsupported type of public key: {kind}"
    return Failure(Reason.UNSUPPORTED_KEY, words, leaf)


def _usable(chains: Sequence[Chain], leaf: GoCertificate) -> tuple[list[Chain], Failure | None]:
    """Drop chains that break policies, key usages or name constraints; without any left, Go's failure."""
    good: list[Chain] = []
    bad_policies = bad_usages = 0
    constraint = ""
    for chain in chains:
        if not policies_allow(chain):
            bad_policies += 1
        elif not all(map(_serves, chain)):
            bad_usages += 1
        elif words := constraint_error(chain):
            constraint = constraint or words
        else:
            good.append(chain)
    if good:
        return good, None
    return [], _chains_failure(leaf, constraint, bad_usages, bad_policies)


def _serves(one: GoCertificate) -> bool:
    """Tell whether extended key usage allows a TLS server; without any, everything is allowed."""
    usages = one.extensions.extended_key_usage
    return not usages or SERVER_AUTH in usages or ANY_EXTENDED_KEY_USAGE in usages


def _chains_failure(leaf: GoCertificate, constraint: str, usages: int, policies: int) -> Failure:
    if constraint:
        words = "x509: a root or intermediate certificate is not authorized to sign for this name: "
        return Failure(Reason.NAME_CONSTRAINT, words + constraint, leaf)
    if usages and not policies:
        return Failure(Reason.KEY_USAGE, "x509: certificate specifies an incompatible key usage", leaf)
    details = [f"{usages} candidate chains with incompatible key usage"] if usages else []
    if policies:
        details.append(f"{policies} candidate chains with invalid policies")
    return Failure(Reason.POLICY, f"x509: no valid chains built: {', '.join(details)}", leaf)
