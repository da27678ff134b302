"""Path building as in Go's crypto/x509: from the leaf, depth first, trusted candidates before served ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from trustplane.certificates.verification.certificate import GoCertificate
from trustplane.certificates.verification.failures import ChainFailure, FailureReason
from trustplane.certificates.verification.instants import Instant
from trustplane.certificates.verification.pool import Pool
from trustplane.certificates.verification.quoting import quote
from trustplane.certificates.verification.signatures import UNSUPPORTED, signature_error

Chain = tuple[GoCertificate, ...]  # leaf first

MAX_CANDIDATES = 100  # Go's limit for one server certificate
_LIMIT = ChainFailure(
    FailureReason.SIGNATURE_LIMIT, "x509: signature check attempts limit reached while verifying certificate chain"
)


@dataclass(frozen=True)
class Rejection:
    """A candidate that did not extend a path."""

    path: Chain
    candidate: GoCertificate
    trusted: bool  # the candidate is in the trust list
    failure: ChainFailure


def validity_failure(certificate: GoCertificate, at: Instant) -> ChainFailure | None:
    """Check what applies to every certificate of a chain: critical extensions, then validity."""
    if certificate.extensions.unhandled_critical:
        return ChainFailure(
            FailureReason.UNHANDLED_CRITICAL_EXTENSION, "x509: unhandled critical extension", certificate
        )
    message = f"x509: certificate has expired or is not yet valid: current time {at.text} is"
    if at.seconds < certificate.not_before.seconds:
        return ChainFailure(FailureReason.NOT_YET_VALID, f"{message} before {certificate.not_before.text}", certificate)
    if at.seconds > certificate.not_after.seconds:
        return ChainFailure(FailureReason.EXPIRED, f"{message} after {certificate.not_after.text}", certificate)
    return None


def issuer_failure(child: GoCertificate, parent: GoCertificate) -> ChainFailure | None:
    """Check that `parent` may sign certificates, and signed `child`."""
    if not parent.may_sign:
        message = "x509: invalid signature: parent certificate cannot sign this kind of certificate"
        return ChainFailure(FailureReason.NOT_A_CA, message, parent)
    message = signature_error(child.algorithm, child.tbs, child.signature, parent.key)
    if not message:
        return None
    weak = child.algorithm is None or child.algorithm.is_insecure or message == UNSUPPORTED or "insecure" in message
    return ChainFailure(FailureReason.INSECURE_ALGORITHM if weak else FailureReason.SIGNATURE, message, child)


class ChainBuilder:
    """Builds all chains from one leaf to the trust list. Single use: it keeps count of Go's limit and of rejections."""

    def __init__(self, trust: Pool, served: Pool, at: Instant) -> None:
        self._trust = trust
        self._served = served
        self._at = at
        self._considered = 0
        self._issuer_failures: dict[tuple[bytes, bytes], ChainFailure | None] = {}
        self.rejections: list[Rejection] = []
        self.dead_ends: list[Chain] = []  # paths whose last certificate has no candidate issuer

    def build(self, path: Chain) -> tuple[list[Chain], ChainFailure | None]:
        """Extend a path. Return the chains that end in the trust list, or the failure that Go reports."""
        level = _Level(path)
        last = path[-1]
        candidates = [(candidate, True) for candidate in self._trust.issuers_of(last)]
        candidates += [(candidate, False) for candidate in self._served.issuers_of(last)]
        if all(_is_in(candidate, path) for candidate, _ in candidates):
            self.dead_ends.append(path)
        for candidate, trusted in candidates:
            self._consider(level, candidate, trusted=trusted)
            if level.failure is _LIMIT:
                break
        return level.result()

    def _consider(self, level: "_Level", candidate: GoCertificate, *, trusted: bool) -> None:
        self._considered += 1
        if self._considered > MAX_CANDIDATES:
            level.failure = _LIMIT
            return
        if candidate.key is None or _is_in(candidate, level.path):
            return
        failure = self._issuer_failure(level.path[-1], candidate)
        if failure:
            self._reject(level, candidate, failure, trusted=trusted)
            return
        level.failure = self._candidate_failure(level.path, candidate, trusted=trusted)
        if level.failure:
            self._reject(level, candidate, level.failure, trusted=trusted)
        elif trusted:
            level.chains.append((*level.path, candidate))
        else:
            chains, level.failure = self.build((*level.path, candidate))
            level.chains.extend(chains)

    def _reject(self, level: "_Level", candidate: GoCertificate, failure: ChainFailure, *, trusted: bool) -> None:
        level.hint = level.hint or (failure, candidate)
        self.rejections.append(Rejection(level.path, candidate, trusted, failure))

    def _issuer_failure(self, child: GoCertificate, parent: GoCertificate) -> ChainFailure | None:
        pair = (child.raw, parent.raw)
        if pair not in self._issuer_failures:
            self._issuer_failures[pair] = issuer_failure(child, parent)
        return self._issuer_failures[pair]

    def _candidate_failure(self, path: Chain, candidate: GoCertificate, *, trusted: bool) -> ChainFailure | None:
        failure = validity_failure(candidate, self._at)
        if failure:
            return failure
        if not trusted and not candidate.is_ca:
            message = "x509: certificate is not authorized to sign other certificates"
            return ChainFailure(FailureReason.NOT_A_CA, message, candidate)
        limit = candidate.extensions.max_path_length
        if candidate.extensions.has_basic_constraints and 0 <= limit < len(path) - 1:
            message = "x509: too many intermediates for path length constraint"
            return ChainFailure(FailureReason.PATH_LENGTH, message, candidate)
        return None


class _Level:
    """State of the search at one path."""

    def __init__(self, path: Chain) -> None:
        self.path = path
        self.chains: list[Chain] = []
        self.failure: ChainFailure | None = None  # of the last candidate that passed the issuer check
        self.hint: tuple[ChainFailure, GoCertificate] | None = None  # the first rejection

    def result(self) -> tuple[list[Chain], ChainFailure | None]:
        """Return the chains, or Go's error: the last candidate's, or "unknown authority" without one."""
        if self.chains:
            return self.chains, None
        return [], self.failure or ChainFailure(
            FailureReason.UNKNOWN_AUTHORITY, self._unknown_authority(), self.path[-1]
        )

    def _unknown_authority(self) -> str:
        message = "x509: certificate signed by unknown authority"
        if not self.hint:
            return message
        failure, candidate = self.hint
        subject = candidate.subject
        name = subject.common_name or subject.organization or f"serial:{candidate.serial}"
        because = f"possibly because of {quote(failure.message)}"
        return f"{message} ({because} while trying to verify candidate authority certificate {quote(name)})"


def _is_in(candidate: GoCertificate, chain: Sequence[GoCertificate]) -> bool:
    """Return whether a chain already has this subject, key and names: cross signatures make loops."""
    for member in chain:
        if member.subject.raw != candidate.subject.raw or member.spki != candidate.spki:
            continue
        if member.san == candidate.san:
            return True
        if member.san is None or candidate.san is None:
            return False
    return False
