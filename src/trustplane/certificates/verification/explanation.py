"""From Go's refusal to its cause: which certificate is to blame, and who can mend it.

Go's text often names only the last thing it tried. Here the whole search counts.
"""

from collections.abc import Sequence

from trustplane.certificates.verification.building import Builder, Chain, Rejection
from trustplane.certificates.verification.certificate import GoCertificate
from trustplane.certificates.verification.extensions import ANY_EXTENDED_KEY_USAGE, SERVER_AUTH
from trustplane.certificates.verification.failures import Failure, Reason
from trustplane.certificates.verification.hostname import WITHOUT_ADDRESSES
from trustplane.certificates.verification.pool import Pool
from trustplane.certificates.verification.verdict import Cause, Role, Verdict

_CAUSES = {
    Reason.MALFORMED: Cause.WEAK_CERTIFICATE,
    Reason.KEY_TOO_LARGE: Cause.WEAK_CERTIFICATE,
    Reason.UNSUPPORTED_KEY: Cause.WEAK_CERTIFICATE,
    Reason.UNHANDLED_CRITICAL_EXTENSION: Cause.WEAK_CERTIFICATE,
    Reason.INSECURE_ALGORITHM: Cause.WEAK_CERTIFICATE,
    Reason.POLICY: Cause.WEAK_CERTIFICATE,
    Reason.NOT_YET_VALID: Cause.CERTIFICATE_NOT_YET_VALID,
    Reason.EXPIRED: Cause.CERTIFICATE_EXPIRED,
    Reason.NOT_A_CA: Cause.CA_NOT_A_CA,
    Reason.PATH_LENGTH: Cause.PATH_LENGTH,
    Reason.SIGNATURE: Cause.CA_REKEYED,
    Reason.KEY_USAGE: Cause.WRONG_KEY_USAGE,
    Reason.NAME_CONSTRAINT: Cause.NAME_CONSTRAINT,
}


def explain(failure: Failure, path: Chain, builder: Builder | None, trust: Pool) -> Verdict:
    """Turn a refusal into a verdict. `builder` is the search that failed, None when it was not that."""
    if failure.reason is Reason.HOST:
        return _host(failure, path)
    if builder is None:
        blamed = _blamed(failure, path)
        return _verdict(failure, _CAUSES.get(failure.reason, Cause.UNKNOWN), path, blamed, role=_role(path, blamed))
    return _search(failure, path, builder, trust)


def _verdict(
    failure: Failure,
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


def _host(failure: Failure, path: Chain) -> Verdict:
    # An address counts only as an IP SAN: where there is none, no name of the certificate could have matched.
    is_mismatch = path[0].has_san and not failure.message.endswith(WITHOUT_ADDRESSES)
    cause = Cause.NAME_MISMATCH if is_mismatch else Cause.NO_SUBJECT_ALT_NAME
    return _verdict(failure, cause, path, path[0], role=Role.SERVER)


def _blamed(failure: Failure, path: Chain) -> GoCertificate | None:
    """Find the certificate that breaks the rule, where Go names the leaf only."""
    if failure.reason is Reason.KEY_USAGE:
        serving = {SERVER_AUTH, ANY_EXTENDED_KEY_USAGE}
        usages = ((one, one.extensions.extended_key_usage) for one in path)
        return next((one for one, usage in usages if usage and not serving.intersection(usage)), path[0])
    return failure.certificate


def _role(path: Chain, blamed: GoCertificate | None) -> Role | None:
    if blamed is None:
        return None
    if path and blamed is path[0]:
        return Role.SERVER
    return Role.ROOT if path and blamed is path[-1] else Role.INTERMEDIATE


def _search(failure: Failure, path: Chain, builder: Builder, trust: Pool) -> Verdict:
    """Say why no path led to the trust list: the rejection that came nearest to it, or where nothing was found."""
    trusted = [one for one in builder.rejections if one.trusted]
    # A key that does not fit says less than any other reason: it is how every candidate of the right name starts.
    ordered = sorted(trusted or builder.rejections, key=lambda one: one.failure.reason is Reason.SIGNATURE)
    if ordered and (trusted or not _has_open_end(builder)):
        return _rejected(failure, ordered[0], trust)
    if builder.dead_ends:
        return _dead_end(failure, max(builder.dead_ends, key=len), trust)
    return _verdict(failure, Cause.UNKNOWN, path, None, role=None)


def _has_open_end(builder: Builder) -> bool:
    """Tell whether some path went beyond every rejection."""
    rejected = max((len(one.path) for one in builder.rejections), default=0)
    return any(len(path) > rejected for path in builder.dead_ends)


def _rejected(failure: Failure, rejection: Rejection, trust: Pool) -> Verdict:
    candidate, reason = rejection.candidate, rejection.failure.reason
    cause = _CAUSES.get(reason, Cause.UNKNOWN)
    blamed = rejection.failure.certificate or candidate
    if reason is Reason.SIGNATURE:
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


def _dead_end(failure: Failure, path: Chain, trust: Pool) -> Verdict:
    last = path[-1]
    also: tuple[Cause, ...] = ()
    if len(path) == 1 and last.is_self_issued:
        cause = Cause.SELF_SIGNED_SERVER
        stopped = f"{last} is self-signed, and not in the trust list"
    elif last.is_self_issued:
        cause = Cause.ISSUER_NOT_TRUSTED
        stopped = f"{last} is the end of the served chain, and not in the trust list"
    else:
        cause, also = _without_issuer(path, trust)
        stopped = f"{last}: no certificate of its issuer {last.issuer} was served, and none is in the trust list"
    role = Role.SERVER if len(path) == 1 else Role.INTERMEDIATE
    return _verdict(failure, cause, path, last, role=role, stopped=stopped, also=also)


def _without_issuer(path: Chain, trust: Pool) -> tuple[Cause, tuple[Cause, ...]]:
    """Rank what the chain alone cannot tell: a root that is not trusted, or an intermediate that was not sent.

    A server that sends no intermediate at all, under a CA of the same owner as one in the list, probably forgot it.
    """
    owner = path[-1].issuer.organization
    causes = (Cause.ISSUER_NOT_TRUSTED, Cause.MISSING_INTERMEDIATE)
    if len(path) == 1 and owner and any(one.subject.organization == owner and one.is_ca for one in trust):
        causes = causes[::-1]
    return causes[0], causes[1:]
