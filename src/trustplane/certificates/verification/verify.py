"""Verification of a registry's certificates exactly as containerd, CRI-O and the kubelet do it, by Go 1.26.

It implements `Certificate.Verify` of crypto/x509 for a server, with the node's trust list as roots and the rest of the
served chain as intermediates, and the surrounding checks of crypto/tls.
"""

import datetime as dt
from collections.abc import Sequence

from trustplane.certificates.verification.building import Chain, ChainBuilder, validity_failure
from trustplane.certificates.verification.certificate import GoCertificate
from trustplane.certificates.verification.constraints import constraint_error
from trustplane.certificates.verification.der import MalformedError
from trustplane.certificates.verification.explanation import explain_failure
from trustplane.certificates.verification.extensions import ANY_EXTENDED_KEY_USAGE, SERVER_AUTH
from trustplane.certificates.verification.failures import ChainFailure, FailureReason
from trustplane.certificates.verification.hostname import hostname_error
from trustplane.certificates.verification.instants import Instant
from trustplane.certificates.verification.keys import DSAKey, RSAKey
from trustplane.certificates.verification.policies import policies_allow
from trustplane.certificates.verification.pool import Pool
from trustplane.certificates.verification.verdict import Verdict

MAX_RSA_BITS = 8192  # limit of crypto/tls for every certificate that the server sends


def verify(served: Sequence[bytes], trust: Pool, host: str, at: dt.datetime) -> Verdict:
    """Return the verdict of a node on a served chain.

    Args:
        served: The certificates that the server sends, DER, its own first.
        trust: The node's trust list, in order.
        host: The dialled DNS name or IP address, without a port; "" skips the name check.
        at: The time of the decision, with a zone.
    """
    now = Instant.of(at)
    try:
        certificates = [_read(der) for der in served]
    except _UnreadableError as error:
        return explain_failure(error.failure, (), None, trust)
    if not certificates:
        return explain_failure(
            ChainFailure(FailureReason.NO_CERTIFICATE, "tls: received empty certificates message"), (), None, trust
        )
    leaf = certificates[0]
    builder = ChainBuilder(trust, Pool(certificates[1:]), now)
    failure = validity_failure(leaf, now) or _host_failure(leaf, host)
    if failure:
        return explain_failure(failure, (leaf,), None, trust)
    chains, failure = ([(leaf,)], None) if leaf in trust else builder.build((leaf,))
    if failure:
        return explain_failure(failure, (leaf,), builder, trust)
    usable, failure = _usable(chains, leaf)
    failure = failure or _key_failure(leaf)
    if failure:
        return explain_failure(failure, chains[0], None, trust)
    anchors = dict.fromkeys(chain[-1].fingerprint for chain in usable)
    return Verdict(trusted=True, chain=usable[0], anchors=tuple(anchors))


class _UnreadableError(Exception):
    def __init__(self, failure: ChainFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def _read(der: bytes) -> GoCertificate:
    try:
        certificate = GoCertificate.read(der)
    except MalformedError as error:
        message = f"tls: failed to parse certificate from server: {error}"
        raise _UnreadableError(ChainFailure(FailureReason.MALFORMED, message)) from None
    if isinstance(certificate.key, RSAKey) and certificate.key.modulus.bit_length() > MAX_RSA_BITS:
        message = f"tls: server sent certificate containing RSA key larger than {MAX_RSA_BITS} bits"
        raise _UnreadableError(ChainFailure(FailureReason.KEY_TOO_LARGE, message, certificate))
    return certificate


def _host_failure(leaf: GoCertificate, host: str) -> ChainFailure | None:
    message = hostname_error(leaf, host) if host else ""
    return ChainFailure(FailureReason.HOST, message, leaf) if message else None


def _key_failure(leaf: GoCertificate) -> ChainFailure | None:
    """Check that TLS supports the server's kind of key."""
    if leaf.key is not None and not isinstance(leaf.key, DSAKey):
        return None
    kind = leaf.key.go_type if leaf.key else "<nil>"
    message = f"tls: server's certificate contains an unsupported type of public key: {kind}"
    return ChainFailure(FailureReason.UNSUPPORTED_KEY, message, leaf)


def _usable(chains: Sequence[Chain], leaf: GoCertificate) -> tuple[list[Chain], ChainFailure | None]:
    """Return the chains that satisfy policies, key usages and name constraints, or Go's failure if none does."""
    usable: list[Chain] = []
    bad_policies = bad_usages = 0
    constraint = ""
    for chain in chains:
        if not policies_allow(chain):
            bad_policies += 1
        elif not all(map(_allows_server, chain)):
            bad_usages += 1
        elif error := constraint_error(chain):
            constraint = constraint or error
        else:
            usable.append(chain)
    if usable:
        return usable, None
    return [], _chains_failure(leaf, constraint, bad_usages, bad_policies)


def _allows_server(certificate: GoCertificate) -> bool:
    """Return whether the extended key usage allows a TLS server; without the extension, it allows any use."""
    usages = certificate.extensions.extended_key_usage
    return not usages or SERVER_AUTH in usages or ANY_EXTENDED_KEY_USAGE in usages


def _chains_failure(leaf: GoCertificate, constraint: str, usages: int, policies: int) -> ChainFailure:
    if constraint:
        message = "x509: a root or intermediate certificate is not authorized to sign for this name: "
        return ChainFailure(FailureReason.NAME_CONSTRAINT, message + constraint, leaf)
    if usages and not policies:
        return ChainFailure(FailureReason.KEY_USAGE, "x509: certificate specifies an incompatible key usage", leaf)
    details = [f"{usages} candidate chains with incompatible key usage"] if usages else []
    if policies:
        details.append(f"{policies} candidate chains with invalid policies")
    return ChainFailure(FailureReason.POLICY, f"x509: no valid chains built: {', '.join(details)}", leaf)
