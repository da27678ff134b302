"""From all that is known about a failed pull to its cause. Pure.

The message says which causes are possible; chain, trust sets, node and pull secrets say which of them it is. High
confidence takes evidence, or words that decide alone and no evidence against them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from trustplane.api.dockerhub import canonical
from trustplane.diagnosis import steps
from trustplane.diagnosis.cause import Cause, Code, Confidence
from trustplane.diagnosis.chain import SECOND_HOST, of_chain
from trustplane.diagnosis.credentials import of_credentials
from trustplane.diagnosis.endpoint import registry_of
from trustplane.diagnosis.evidence import Case, Host, Vantage
from trustplane.diagnosis.explanation import Explanation, explain
from trustplane.diagnosis.finding import Authority, Finding
from trustplane.diagnosis.layer import Role
from trustplane.diagnosis.reading import read
from trustplane.diagnosis.report import ONE_CAUSE, SEVERAL_CAUSES, UNKNOWN
from trustplane.diagnosis.vocabulary.certificates import NOT_TRUSTED

# What may be told apart by a chain alone, whatever the words are: Go's text often names only the last thing it tried.
_TRUST: Final = frozenset({*NOT_TRUSTED, *SECOND_HOST.values(), Code.CA_REKEYED, Code.CA_NOT_A_CA})
_OF_CHAIN: Final = _TRUST | {
    Code.CERTIFICATE_EXPIRED,
    Code.CERTIFICATE_NOT_YET_VALID,
    Code.NAME_MISMATCH,
    Code.NO_SUBJECT_ALT_NAME,
    Code.WRONG_KEY_USAGE,
    Code.NAME_CONSTRAINT,
    Code.PATH_LENGTH,
    Code.WEAK_CERTIFICATE,
}
_ANSWERED: Final = frozenset(
    {
        Code.IMAGE_NOT_FOUND,
        Code.AUTH_MISSING,
        Code.AUTH_REJECTED,
        Code.ACCESS_DENIED,
        Code.PULL_SECRET_MALFORMED,
        Code.RATE_LIMITED,
        Code.REGISTRY_ERROR,
    }
)
# What is left of a TLS alert where the connection ends before it is read.
_CUT: Final = frozenset({Code.CONNECTION_CLOSED, Code.CONNECTION_RESET})
_NOT_FOUND: Final = 404
_ON_NODE: Final = (Code.TRUST_NOT_APPLIED, Code.RUNTIME_STALE)


@dataclass(frozen=True)
class Diagnosis:
    """The answer.

    Attributes:
        causes: All that fit, most likely first; `unknown` alone where nothing does; none where nothing is wrong.
        explanation: Of the message that counted; None without one.
        authority: The CA that would mend it, where it is about one.
        host: The host that failed, as it was seen; None where it was not.
    """

    causes: tuple[Cause, ...]
    explanation: Explanation | None = None
    authority: Authority | None = None
    host: Host | None = None

    @property
    def exit_code(self) -> int:
        """How much is known: 0 one cause for certain or nothing wrong, 1 several or not certain, 2 cannot tell."""
        if any(one.code is Code.UNKNOWN for one in self.causes):
            return UNKNOWN
        certain = len(self.causes) == 0 or (len(self.causes) == 1 and self.causes[0].confidence is Confidence.HIGH)
        return ONE_CAUSE if certain else SEVERAL_CAUSES


def diagnose(case: Case) -> Diagnosis:
    """Name the cause of a failed pull, as far as the evidence allows."""
    explanation = _explained(case.messages)
    if explanation is None or not explanation.is_known:
        return _without_words(case, explanation)
    return _before_origin(case, explanation) or _with_words(case, explanation)


def _explained(messages: Iterable[str]) -> Explanation | None:
    """Explain the latest message that says something; a kubelet that limits itself says nothing of the pull."""
    explained = [explain(one) for one in messages]
    known = [one for one in explained if one.is_known]
    telling = [one for one in known if one.codes != (Code.KUBELET_THROTTLED,)]
    return next(iter((*telling, *known, *explained)), None)


def _with_words(case: Case, explanation: Explanation) -> Diagnosis:
    codes, host = explanation.codes, _failed(case, explanation)
    credentials = of_credentials(case, codes)
    if credentials:
        return _answer(case, credentials, explanation, host)
    if codes[0] in _OF_CHAIN and host:
        return _of_chain(case, host, explanation)
    if host and host.failure and Code(host.failure) in codes:
        return _answer(case, Finding((Code(host.failure),), f"seen from {host.vantage} as well"), explanation, host)
    if host and host.failure == Code.CLIENT_CERTIFICATE_REQUIRED and set(codes) <= _CUT:
        reason = f"{host.address} wants a client certificate; it closed the connection before its word of that was read"
        return _answer(case, Finding((Code.CLIENT_CERTIFICATE_REQUIRED,), reason), explanation, host)
    if case.anonymous == _NOT_FOUND and Code.IMAGE_NOT_FOUND in codes:
        finding = Finding((Code.IMAGE_NOT_FOUND,), "the registry answers an anonymous request for it with 404, too")
        return _answer(case, finding, explanation, host)
    return Diagnosis(_stepped(case, explanation.causes), explanation, host=host)


def _before_origin(case: Case, explanation: Explanation) -> Diagnosis | None:
    """Name the mirror that nodes refuse where the words are the origin's.

    containerd asks mirrors first, and tells of the host that answered, though with 404 or 401, rather than of those
    that it could not talk to. Source: containerd 2, core/remotes/docker/resolver.go, `firstErrPriority`.
    """
    if not set(explanation.codes) <= _ANSWERED or explanation.reading.endpoint.role is Role.MIRROR:
        return None
    for host in _seen(case):
        finding = of_chain(case, host) if host.role is Role.MIRROR else None
        if finding:
            codes = (*finding.codes, *(one for one in explanation.codes if one not in finding.codes))
            reason = f"containerd asks mirror {host.address} first, and tells of the origin only: {finding.reason}"
            return _answer(case, replace(finding, codes=codes, reason=reason, is_certain=False), explanation, host)
    return None


def _of_chain(case: Case, host: Host, explanation: Explanation) -> Diagnosis:
    """Decide among causes of a certificate by the served chain."""
    codes = explanation.codes
    names_file = len(codes) == 1 and codes[0] in {Code.CA_FILE_MALFORMED, Code.CA_FILE_UNREADABLE}
    if names_file or not host.certificates:
        return Diagnosis(_stepped(case, explanation.causes), explanation, host=host)
    finding = of_chain(case, host)
    if finding is None:
        return _recovered(case, host, explanation)
    single = len(codes) == 1 and explanation.causes[0].confidence is Confidence.HIGH
    if codes[0] not in _TRUST and single and not set(codes) & {*finding.codes, *finding.told_as}:
        return _changed(case, host, explanation, finding)
    return _answer(case, finding, explanation, host)


def _recovered(case: Case, host: Host, explanation: Explanation) -> Diagnosis:
    """Say what it was where, by all that can be seen, the pull would work now."""
    reason = f"the chain of {host.address} is accepted now by all that is known: it was otherwise when the pull failed"
    codes = _ON_NODE if explanation.codes[0] in _TRUST else explanation.codes
    return _answer(case, Finding(codes, reason, is_certain=False), explanation, host)


def _changed(case: Case, host: Host, explanation: Explanation, finding: Finding) -> Diagnosis:
    """Answer both where the words say for certain what the chain that is served now does not show."""
    reason = f"the words say so; the chain that is served now would fail otherwise: {finding.reason}"
    codes = (*explanation.codes, *(one for one in finding.codes if one not in explanation.codes))
    return _answer(case, replace(finding, codes=codes, reason=reason, is_certain=False), explanation, host)


def _without_words(case: Case, explanation: Explanation | None) -> Diagnosis:
    """Say what is wrong with the registry's hosts, where there is no message or one that says nothing known."""
    for host in _seen(case):
        finding = _of_host(case, host)
        if finding:
            certain = explanation is None and not case.image
            reason = finding.reason if certain else f"{finding.reason}; no message says that the pull failed by it"
            return _answer(
                case,
                replace(finding, reason=reason, is_certain=finding.is_certain and certain),
                explanation,
                host,
            )
    if case.hosts and not case.image:
        return Diagnosis((), explanation)
    reason = explanation.causes[0].reason if explanation else "there is no message, and nothing wrong can be seen"
    unknown = Cause(Code.UNKNOWN, Confidence.LOW, reason, steps.of(case, Code.UNKNOWN, None, Finding((), "")))
    return Diagnosis((unknown,), explanation)


def _of_host(case: Case, host: Host) -> Finding | None:
    if host.certificates and (finding := of_chain(case, host)):
        return finding
    return Finding((Code(host.failure),), host.words) if host.failure else None


def _failed(case: Case, explanation: Explanation) -> Host | None:
    """Return the host that the words mean, as the node sees it where that is known."""
    endpoint = explanation.reading.endpoint
    wanted = canonical(endpoint.address if endpoint.host else case.registry)
    named = [one for one in _seen(case) if canonical(one.address) == wanted]
    if not endpoint.host and endpoint.role is Role.TOKEN_SERVICE:
        named = [one for one in _seen(case) if one.role is Role.TOKEN_SERVICE] or named
    if _names_no_url(explanation):
        named = _second_hosts(case, named)
    named = [replace(one, role=endpoint.role) if endpoint.role in SECOND_HOST else one for one in named]
    seen = [one for one in named if one.certificates]
    return next(iter(sorted(seen or named, key=lambda one: one.vantage is not Vantage.NODE)), None)


def _seen(case: Case) -> list[Host]:
    """Return the hosts as they are seen; what is seen here says nothing of a node that asks through a proxy."""
    proxies = case.disk.proxies if case.disk else {}
    return [one for one in case.hosts if one.vantage is Vantage.NODE or one.address not in proxies]


def _names_no_url(explanation: Explanation) -> bool:
    """Tell whether the words leave open which of the registry's hosts it was."""
    return bool(set(SECOND_HOST.values()) & set(explanation.codes)) and len(explanation.codes) > 1


def _second_hosts(case: Case, named: Sequence[Host]) -> list[Host]:
    """Return the first host of the registry that nodes refuse, where the words leave open which one it was."""
    every = [*named, *(one for one in _seen(case) if one.role in SECOND_HOST)]
    return [one for one in every if one.certificates and of_chain(case, one)] or list(named)


def _answer(case: Case, finding: Finding, explanation: Explanation | None, host: Host | None) -> Diagnosis:
    causes = tuple(_causes(case, finding, explanation, host.address if host else case.registry))
    return Diagnosis(causes, explanation, finding.authority, host)


def _causes(case: Case, finding: Finding, explanation: Explanation | None, address: str) -> Iterator[Cause]:
    sure = finding.is_certain and len(finding.codes) == 1
    for place, code in enumerate(finding.codes):
        confidence = Confidence.HIGH if sure else Confidence.MEDIUM if place == 0 else Confidence.LOW
        step = steps.of(case, code, explanation, finding, address)
        yield Cause(code, confidence, finding.reason, step, finding.actor)


def _stepped(case: Case, causes: Iterable[Cause]) -> tuple[Cause, ...]:
    return tuple(replace(one, next_step=steps.filled(case, one.next_step)) for one in causes)


def endpoints(messages: Iterable[str], image: str) -> list[tuple[Role, str]]:
    """Return the hosts to look at: those that messages name, then the registry of the image."""
    found: dict[str, Role] = {}
    for message in messages:
        for reading in read(message):
            endpoint = reading.endpoint
            if endpoint.host and endpoint.role is not Role.PROXY and not endpoint.is_plain:
                found.setdefault(endpoint.address, endpoint.role)
    if image:
        found.setdefault(registry_of(image), Role.REGISTRY)
    return [(role, address) for address, role in found.items()]
