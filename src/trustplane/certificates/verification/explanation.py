"""Explain Go's refusal of a chain: its cause and the certificate to blame.

Go's message often names only the last candidate it tried. The explanation considers the whole search.
"""

from collections.abc import Sequence

from trustplane.certificates.verification.building import Chain, ChainBuilder, Rejection
from trustplane.certificates.verification.certificate import GoCertificate
from trustplane.certificates.verification.extensions import ANY_EXTENDED_KEY_USAGE, SERVER_AUTH
from trustplane.certificates.verification.failures import ChainFailure, FailureReason
from trustplane.certificates.verification.hostname import WITHOUT_ADDRESSES
from trustplane.certificates.verification.pool import Pool
from trustplane.certificates.verification.verdict import Cause, Role, Verdict

_CAUSES = {
    FailureReason.MALFORMED: Cause.WEAK_CERTIFICATE,
    FailureReason.KEY_TOO_LARGE: Cause.WEAK_CERTIFICATE,
    FailureReason.UNSUPPORTED_KEY: Cause.WEAK_CERTIFICATE,
    FailureReason.UNHANDLED_CRITICAL_EXTENSION: Cause.WEAK_CERTIFICATE,
    FailureReason.INSECURE_ALGORITHM: Cause.WEAK_CERTIFICATE,
    FailureReason.POLICY: Cause.WEAK_CERTIFICATE,
    FailureReason.NOT_YET_VALID: Cause.CERTIFICATE_NOT_YET_VALID,
    FailureReason.EXPIRED: Cause.CERTIFICATE_EXPIRED,
    FailureReason.NOT_A_CA: Cause.CA_NOT_A_CA,
    FailureReason.PATH_LENGTH: Cause.PATH_LENGTH,
    FailureReason.SIGNATURE: Cause.CA_REKEYED,
    FailureReason.KEY_USAGE: Cause.WRONG_KEY_USAGE,
    FailureReason.NAME_CONSTRAINT: Cause.NAME_CONSTRAINT,
}


def explain_failure(failure: ChainFailure, path: Chain, builder: ChainBuilder | None, trust: Pool) -> Verdict:
    """Turn a failure into a verdict. `builder` is the failed search; None if something else failed."""
    if failure.reason is FailureReason.HOST:
        return _host(failure, path)
    if builder is None:
        blamed = _blamed(failure, path)
        return _verdict(failure, _CAUSES.get(failure.reason, Cause.UNKNOWN), path, blamed, role=_role(path, blamed))
    return _search(failure, path, builder, trust)


def _verdict(
    failure: ChainFailure,
    cause: Cause,
    chain: Chain,
    blamed: GoCertificate | None,
    *,
    role: Role | None,
    stopped: str = "",
    also: Sequence[Cause] = (),
) -> Verdict:
    return Verdict(
        trusted=False,
        message=failure.message,
        cause=cause,
        also_possible=tuple(also),
        role=role,
        blamed=blamed,
        chain=chain,
        stopped=stopped or failure.message,
    )


def _host(failure: ChainFailure, path: Chain) -> Verdict:
    # Go compares an address with IP SANs only: without any, no name of the certificate could have matched.
    is_mismatch = path[0].has_san and not failure.message.endswith(WITHOUT_ADDRESSES)
    cause = Cause.NAME_MISMATCH if is_mismatch else Cause.NO_SUBJECT_ALT_NAME
    return _verdict(failure, cause, path, path[0], role=Role.SERVER)


def _blamed(failure: ChainFailure, path: Chain) -> GoCertificate | None:
    """Return the certificate that breaks the rule, even if Go names only the leaf."""
    if failure.reason is FailureReason.KEY_USAGE:
        serving = {SERVER_AUTH, ANY_EXTENDED_KEY_USAGE}
        usages = ((certificate, certificate.extensions.extended_key_usage) for certificate in path)
        return next(
            (certificate for certificate, usage in usages if usage and not serving.intersection(usage)), path[0]
        )
    return failure.certificate


def _role(path: Chain, blamed: GoCertificate | None) -> Role | None:
    if blamed is None:
        return None
    if path and blamed is path[0]:
        return Role.SERVER
    return Role.ROOT if path and blamed is path[-1] else Role.INTERMEDIATE


def _search(failure: ChainFailure, path: Chain, builder: ChainBuilder, trust: Pool) -> Verdict:
    """Explain why no path reached the trust list: by the most telling rejection, or by the longest dead end."""
    trusted = [rejection for rejection in builder.rejections if rejection.trusted]
    # A signature by another key is the weakest reason: any certificate with the right name can fail that way.
    ordered = sorted(
        trusted or builder.rejections, key=lambda rejection: rejection.failure.reason is FailureReason.SIGNATURE
    )
    if ordered and (trusted or not _has_open_end(builder)):
        return _rejected(failure, ordered[0], trust)
    if builder.dead_ends:
        return _dead_end(failure, max(builder.dead_ends, key=len), trust)
    return _verdict(failure, Cause.UNKNOWN, path, None, role=None)


def _has_open_end(builder: ChainBuilder) -> bool:
    """Return whether some path is longer than all rejected ones."""
    rejected = max((len(rejection.path) for rejection in builder.rejections), default=0)
    return any(len(path) > rejected for path in builder.dead_ends)


def _rejected(failure: ChainFailure, rejection: Rejection, trust: Pool) -> Verdict:
    candidate, reason = rejection.candidate, rejection.failure.reason
    cause = _CAUSES.get(reason, Cause.UNKNOWN)
    blamed = rejection.failure.certificate or candidate
    if reason is FailureReason.SIGNATURE:
        blamed = candidate
        if not rejection.trusted:
            return _dead_end(failure, rejection.path, trust)
    stopped = f"{rejection.path[-1]}: its issuer {candidate} is refused: {rejection.failure.message}"
    return _verdict(failure, cause, rejection.path, blamed, role=_rejected_role(rejection, blamed), stopped=stopped)


def _rejected_role(rejection: Rejection, blamed: GoCertificate) -> Role:
    if blamed is rejection.path[0]:
        return Role.SERVER
    is_root = rejection.trusted and blamed is rejection.candidate
    return Role.ROOT if is_root else Role.INTERMEDIATE


def _dead_end(failure: ChainFailure, path: Chain, trust: Pool) -> Verdict:
    last = path[-1]
    also: tuple[Cause, ...] = ()
    if len(path) == 1 and last.is_self_issued:
        cause = Cause.SELF_SIGNED_SERVER
        stopped = f"{last} is self-signed and not in the trust list"
    elif last.is_self_issued:
        cause = Cause.ISSUER_NOT_TRUSTED
        stopped = f"{last} ends the served chain and is not in the trust list"
    else:
        cause, also = _without_issuer(path, trust)
        stopped = f"{last}: its issuer {last.issuer} was not served and is not in the trust list"
    role = Role.SERVER if len(path) == 1 else Role.INTERMEDIATE
    return _verdict(failure, cause, path, last, role=role, stopped=stopped, also=also)


def _without_issuer(path: Chain, trust: Pool) -> tuple[Cause, tuple[Cause, ...]]:
    """Rank two causes that the chain alone cannot tell apart: an untrusted root, or an intermediate that was not sent.

    A server that sends no intermediate, and whose issuer belongs to the owner of a listed CA, has probably omitted it.
    """
    owner = path[-1].issuer.organization
    causes = (Cause.ISSUER_NOT_TRUSTED, Cause.MISSING_INTERMEDIATE)
    if len(path) == 1 and owner and any(anchor.subject.organization == owner and anchor.is_ca for anchor in trust):
        causes = causes[::-1]
    return causes[0], causes[1:]
