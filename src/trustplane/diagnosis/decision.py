"""Decide the cause of a failed pull from all evidence. Pure.

The message determines the possible causes; chain, trust sets, node and pull secrets decide between them. High
confidence requires evidence, or a message that decides alone without evidence against it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from trustplane.api.dockerhub import canonical
from trustplane.diagnosis.cause import Cause, Code, Confidence
from trustplane.diagnosis.chain import conclude_from_chain, is_readable
from trustplane.diagnosis.conclusion import Authority, Conclusion
from trustplane.diagnosis.credentials import conclude_from_credentials
from trustplane.diagnosis.endpoint import registry_of
from trustplane.diagnosis.explanation import Explanation, explain
from trustplane.diagnosis.facts import Case, Host, ObservedFrom
from trustplane.diagnosis.groups import (
    ANSWERED,
    CHAIN,
    FILE,
    ON_NODE,
    SECOND_HOST,
    TRUST,
    UNREAD_ALERT,
    leaves_host_open,
)
from trustplane.diagnosis.layer import Role
from trustplane.diagnosis.message_parser import parse_message
from trustplane.diagnosis.remediation import case_next_step, fill_names
from trustplane.diagnosis.report import ONE_CAUSE, SEVERAL_CAUSES, UNKNOWN
from trustplane.diagnosis.unseen import unseen_sources

_NOT_FOUND: Final = 404
_MAX_UNSEEN: Final = 3  # named sources


@dataclass(frozen=True)
class Diagnosis:
    """The causes of a failed pull, by all evidence.

    Attributes:
        causes: The causes that fit, most likely first; `unknown` alone if none fits; empty if nothing is wrong.
        explanation: The explanation of the message used; None without one.
        authority: The missing CA, if the cause is a missing CA.
        host: The host that failed, as dialled; None if it was not dialled.
        unseen: Sources that gave no evidence, although theirs could change the causes.
    """

    causes: tuple[Cause, ...]
    explanation: Explanation | None = None
    authority: Authority | None = None
    host: Host | None = None
    unseen: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """Return the exit status: 0 for one certain cause or none, 1 for several or uncertain causes, 2 if unknown."""
        if any(cause.code is Code.UNKNOWN for cause in self.causes):
            return UNKNOWN
        is_certain = not self.causes or (len(self.causes) == 1 and self.causes[0].confidence is Confidence.HIGH)
        return ONE_CAUSE if is_certain else SEVERAL_CAUSES


def diagnose(case: Case) -> Diagnosis:
    """Return the causes of a failed pull, narrowed by all evidence; never certain if unseen evidence may refute it."""
    diagnosis = _diagnose_seen(case)
    first = diagnosis.causes[0] if diagnosis.causes else None
    if first is None or first.code is Code.UNKNOWN:
        return diagnosis
    unseen = unseen_sources(case, first, diagnosis.explanation, diagnosis.host)
    return _doubt(diagnosis, first, unseen) if unseen else diagnosis


def _doubt(diagnosis: Diagnosis, first: Cause, unseen: tuple[str, ...]) -> Diagnosis:
    named, more = ", ".join(unseen[:_MAX_UNSEEN]), len(unseen) - _MAX_UNSEEN
    reason = f"{first.reason}; not seen: {named}{f' and {more} more' if more > 0 else ''}"
    confidence = Confidence.MEDIUM if first.confidence is Confidence.HIGH else first.confidence
    doubted = replace(first, confidence=confidence, reason=reason)
    return replace(diagnosis, causes=(doubted, *diagnosis.causes[1:]), unseen=unseen)


def _diagnose_seen(case: Case) -> Diagnosis:
    explanation = _explain_latest(case.messages)
    if explanation is None or not explanation.is_known:
        return _diagnose_hosts(case, explanation)
    return _diagnose_mirrors(case, explanation) or _diagnose_message(case, explanation)


def _explain_latest(messages: Iterable[str]) -> Explanation | None:
    """Explain the latest message with a cause; a throttled kubelet's message says nothing about the pull."""
    explanations = [explain(message) for message in messages]
    known = [explanation for explanation in explanations if explanation.is_known]
    specific = [explanation for explanation in known if explanation.codes != (Code.KUBELET_THROTTLED,)]
    return next(iter((*specific, *known, *explanations)), None)


def _diagnose_message(case: Case, explanation: Explanation) -> Diagnosis:
    codes, host = explanation.codes, _failed_host(case, explanation)
    conclusion = conclude_from_credentials(case, codes)
    if conclusion:
        return _diagnosis(case, conclusion, explanation, host)
    if codes[0] in CHAIN and host:
        return _diagnose_chain(case, host, explanation)
    conclusion = _conclude_from_failure(host, codes) if host and host.failure else None
    if conclusion is None and case.anonymous == _NOT_FOUND and Code.IMAGE_NOT_FOUND in codes:
        reason = "the registry also answers an anonymous request for the image with 404"
        conclusion = Conclusion((Code.IMAGE_NOT_FOUND,), reason)
    if conclusion:
        return _diagnosis(case, conclusion, explanation, host)
    return Diagnosis(_fill_steps(case, explanation.causes), explanation, host=host)


def _conclude_from_failure(host: Host, codes: tuple[Code, ...]) -> Conclusion | None:
    if Code(host.failure) in codes:
        place = "the node" if host.observed_from is ObservedFrom.NODE else "here"
        return Conclusion((Code(host.failure),), f"{host.address} also fails in this way if dialled from {place}")
    if host.failure == Code.CLIENT_CERTIFICATE_REQUIRED and set(codes) <= UNREAD_ALERT:
        reason = (
            f"{host.address} requires a client certificate; it closed the connection before the node read the alert"
        )
        return Conclusion((Code.CLIENT_CERTIFICATE_REQUIRED,), reason)
    return None


def _diagnose_mirrors(case: Case, explanation: Explanation) -> Diagnosis | None:
    """Diagnose an untrusted mirror that a message about the origin hides.

    containerd asks mirrors first. If it cannot connect to them, it reports the host that answered, even with 404 or
    401. Source: containerd 2, core/remotes/docker/resolver.go, `firstErrPriority`.
    """
    if not set(explanation.codes) <= ANSWERED or explanation.parsed.endpoint.role is Role.MIRROR:
        return None
    for host in _relevant_hosts(case):
        conclusion = conclude_from_chain(case, host) if host.role is Role.MIRROR else None
        if conclusion:
            codes = (*conclusion.codes, *(code for code in explanation.codes if code not in conclusion.codes))
            reason = f"containerd asks mirror {host.address} first, but reports only the origin: {conclusion.reason}"
            uncertain = replace(conclusion, codes=codes, reason=reason, is_certain=False)
            return _diagnosis(case, uncertain, explanation, host)
    return None


def _diagnose_chain(case: Case, host: Host, explanation: Explanation) -> Diagnosis:
    """Decide between the causes of a certificate error by the served chain."""
    codes = explanation.codes
    is_about_file = len(codes) == 1 and codes[0] in FILE
    is_evidence = is_readable(host) or Code.WEAK_CERTIFICATE in codes  # a node reports a chain that cannot be parsed
    if is_about_file or not host.certificates or not is_evidence:
        return Diagnosis(_fill_steps(case, explanation.causes), explanation, host=host)
    conclusion = conclude_from_chain(case, host)
    if conclusion is None:
        return _diagnose_recovered(case, host, explanation)
    is_single = len(codes) == 1 and explanation.causes[0].confidence is Confidence.HIGH
    if codes[0] not in TRUST and is_single and not set(codes) & {*conclusion.codes, *conclusion.reported_as}:
        return _diagnose_changed(case, host, explanation, conclusion)
    return _diagnosis(case, conclusion, explanation, host)


def _diagnose_recovered(case: Case, host: Host, explanation: Explanation) -> Diagnosis:
    """Diagnose a pull that, by all evidence, would succeed now."""
    reason = f"by all evidence the chain of {host.address} is trusted now; it was not when the pull failed"
    codes = ON_NODE if explanation.codes[0] in TRUST else explanation.codes
    return _diagnosis(case, Conclusion(codes, reason, is_certain=False), explanation, host)


def _diagnose_changed(case: Case, host: Host, explanation: Explanation, conclusion: Conclusion) -> Diagnosis:
    """Report both causes if the message is certain of one that the chain served now does not have."""
    reason = f"the message reports it, but the chain served now would fail differently: {conclusion.reason}"
    codes = (*explanation.codes, *(code for code in conclusion.codes if code not in explanation.codes))
    return _diagnosis(case, replace(conclusion, codes=codes, reason=reason, is_certain=False), explanation, host)


def _diagnose_hosts(case: Case, explanation: Explanation | None) -> Diagnosis:
    """Diagnose the registry's hosts alone, without a message or with an unknown one."""
    for host in _relevant_hosts(case):
        conclusion = _conclude_from_host(case, host)
        if conclusion:
            is_alone = explanation is None and not case.image
            doubt = "" if is_alone else "; no message confirms that the pull failed for this reason"
            is_certain = conclusion.is_certain and is_alone
            conclusion = replace(conclusion, reason=f"{conclusion.reason}{doubt}", is_certain=is_certain)
            return _diagnosis(case, conclusion, explanation, host)
    if case.hosts and not case.image:
        return Diagnosis((), explanation)
    reason = explanation.causes[0].reason if explanation else "there is no message, and no host fails"
    next_step = case_next_step(case, Code.UNKNOWN, None, Conclusion((), ""))
    return Diagnosis((Cause(Code.UNKNOWN, Confidence.LOW, reason, next_step),), explanation)


def _conclude_from_host(case: Case, host: Host) -> Conclusion | None:
    if host.certificates and (conclusion := conclude_from_chain(case, host)):
        return conclusion
    return Conclusion((Code(host.failure),), host.message) if host.failure else None


def _failed_host(case: Case, explanation: Explanation) -> Host | None:
    """Return the host that the message is about, as dialled from the node if possible."""
    endpoint, hosts = explanation.parsed.endpoint, _relevant_hosts(case)
    address = canonical(endpoint.address if endpoint.host else case.registry)
    named = [host for host in hosts if canonical(host.address) == address]
    if not endpoint.host and endpoint.role is Role.TOKEN_SERVICE:
        named = [host for host in hosts if host.role is Role.TOKEN_SERVICE] or named
    if leaves_host_open(explanation.codes):
        named = _untrusted_hosts(case, named)
    named = [replace(host, role=endpoint.role) if endpoint.role in SECOND_HOST else host for host in named]
    with_chain = [host for host in named if host.certificates]
    return next(iter(sorted(with_chain or named, key=lambda host: host.observed_from is not ObservedFrom.NODE)), None)


def _relevant_hosts(case: Case) -> list[Host]:
    """Return the hosts without those dialled from here whose chain the node receives through a proxy."""
    proxies = case.disk.proxies if case.disk else {}
    return [host for host in case.hosts if host.observed_from is ObservedFrom.NODE or host.address not in proxies]


def _untrusted_hosts(case: Case, named: Sequence[Host]) -> list[Host]:
    """Return the named and second hosts that nodes reject, or the named ones if nodes reject none."""
    every = [*named, *(host for host in _relevant_hosts(case) if host.role in SECOND_HOST)]
    return [host for host in every if host.certificates and conclude_from_chain(case, host)] or list(named)


def _diagnosis(case: Case, conclusion: Conclusion, explanation: Explanation | None, host: Host | None) -> Diagnosis:
    causes = tuple(_causes(case, conclusion, explanation, host.address if host else case.registry))
    return Diagnosis(causes, explanation, conclusion.authority, host)


def _causes(case: Case, conclusion: Conclusion, explanation: Explanation | None, address: str) -> Iterator[Cause]:
    is_decided = conclusion.is_certain and len(conclusion.codes) == 1
    for rank, code in enumerate(conclusion.codes):
        confidence = Confidence.HIGH if is_decided else Confidence.MEDIUM if rank == 0 else Confidence.LOW
        next_step = case_next_step(case, code, explanation, conclusion, address)
        yield Cause(code, confidence, conclusion.reason, next_step, conclusion.actor)


def _fill_steps(case: Case, causes: Iterable[Cause]) -> tuple[Cause, ...]:
    return tuple(replace(cause, next_step=fill_names(case, cause.next_step)) for cause in causes)


def endpoints(messages: Iterable[str], image: str) -> list[tuple[Role, str]]:
    """Return role and address of the hosts to dial: those that the messages name, then the image's registry."""
    hosts: dict[str, Role] = {}
    for message in messages:
        for parsed in parse_message(message):
            endpoint = parsed.endpoint
            if endpoint.host and endpoint.role is not Role.PROXY and not endpoint.is_plain:
                hosts.setdefault(endpoint.address, endpoint.role)
    if image:
        hosts.setdefault(registry_of(image), Role.REGISTRY)
    return [(role, address) for address, role in hosts.items()]
