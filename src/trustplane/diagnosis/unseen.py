"""Name the missing evidence that could change a cause. Pure.

A cause is certain only of the evidence that it rests on. Each rule below states which part of the evidence could lead
the decision elsewhere; a part without a rule only adds detail, such as the list that has a missing CA.
"""

from dataclasses import dataclass

from trustplane.api.dockerhub import canonical
from trustplane.diagnosis.cause import Cause, Code, Confidence
from trustplane.diagnosis.chain import is_readable
from trustplane.diagnosis.explanation import Explanation
from trustplane.diagnosis.facts import Case, Host, Missing, ObservedFrom, Part
from trustplane.diagnosis.groups import ANSWERED, CHAIN, FILE, REFUSED, UNREAD_ALERT, leaves_host_open
from trustplane.diagnosis.layer import Role


def unseen_sources(case: Case, cause: Cause, explanation: Explanation | None, host: Host | None) -> tuple[str, ...]:
    """Return the sources that gave no evidence, although theirs could lead to another cause.

    Args:
        case: All evidence.
        cause: The cause, by the evidence that was seen.
        explanation: The explanation of the message; None without one.
        host: The host that failed; None if it was not dialled.
    """
    ground = _Ground(case, cause, explanation, host)
    sources = [report.source for report in case.reports if any(map(ground.may_change_by, report.missing))]
    if host is not None and ground.is_chain_unreadable:
        sources.append(f"the chain of {host.address}, which cannot be parsed")
    return tuple(dict.fromkeys(sources))


@dataclass(frozen=True)
class _Ground:
    """A cause, and what it was concluded from."""

    case: Case
    cause: Cause
    explanation: Explanation | None
    host: Host | None

    @property
    def _code(self) -> Code:
        return self.cause.code

    @property
    def _codes(self) -> tuple[Code, ...]:
        return self.explanation.codes if self.explanation else ()

    @property
    def _is_stated(self) -> bool:
        """Whether the message alone states the cause."""
        return self._codes == (self._code,)

    @property
    def _has_chain(self) -> bool:
        host = self.host
        return bool(host and host.certificates) and not self.is_chain_unreadable

    @property
    def is_chain_unreadable(self) -> bool:
        """Whether the cause is about a chain, and the one that was seen cannot be parsed."""
        is_about_chain = self._code in CHAIN - FILE - {Code.WEAK_CERTIFICATE}  # a node reports the last one
        return is_about_chain and self.host is not None and not is_readable(self.host)

    def may_change_by(self, missing: Missing) -> bool:
        """Return whether a part of the evidence, if it had been seen, could lead to another cause."""
        if self._code in CHAIN:
            return self._may_chain_change_by(missing)
        if missing.part is Part.SECRETS:
            return bool(REFUSED & {self._code, *self._codes})
        return self._may_hide_a_mirror_in(missing) or self._may_host_fail_otherwise_by(missing)

    def _may_chain_change_by(self, missing: Missing) -> bool:
        is_agreed = self._has_chain and self.cause.confidence is Confidence.HIGH
        if self._is_stated and (is_agreed or self._code in FILE):
            return False  # by the message, and by the chain if there is one
        if missing.part is Part.ANSWERS:
            return leaves_host_open(self._codes)
        if missing.part is not Part.CHAIN:
            return missing.part in {Part.OWN_SETS, Part.DISK}
        if self.host is None or leaves_host_open(self._codes):
            return True
        is_same = canonical(missing.address) == canonical(self.host.address)
        return is_same and not (self._has_chain and self.host.observed_from is ObservedFrom.NODE)

    def _may_hide_a_mirror_in(self, missing: Missing) -> bool:
        """Return whether an untrusted mirror may have been missed, which a registry's answer hides."""
        is_answer = bool(self._codes) and set(self._codes) <= ANSWERED
        if not is_answer or (self.explanation and self.explanation.parsed.endpoint.role is Role.MIRROR):
            return False
        if missing.part is Part.OWN_SETS:
            return any(host.role is Role.MIRROR for host in self.case.hosts)
        return missing.part is Part.ROUTES or (missing.part is Part.CHAIN and missing.role is Role.MIRROR)

    def _may_host_fail_otherwise_by(self, missing: Missing) -> bool:
        """Return whether the node may reach the failed host otherwise, or the host may show more than the message."""
        if self.explanation is None:
            return False
        if missing.part is Part.ROUTES:  # the node may reach the host through a proxy
            return not self._is_stated and self.host is not None and self.host.failure == self._code
        endpoint = self.explanation.parsed.endpoint
        failed = canonical(endpoint.address if endpoint.host else self.case.registry)
        is_about_host = missing.part is Part.CHAIN and canonical(missing.address) == failed
        return is_about_host and missing.observed_from is ObservedFrom.HERE and set(self._codes) <= UNREAD_ALERT
