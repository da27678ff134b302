"""Verify a served chain with each set of CAs, and conclude why a node rejects it. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property, lru_cache
from typing import Final
from urllib.parse import urlsplit

from gox509 import GoCertificate, MalformedError, Pool, Verdict, verify
from gox509 import Role as ChainRole
from trustplane.diagnosis.cause import Actor, Code
from trustplane.diagnosis.conclusion import Authority, Conclusion
from trustplane.diagnosis.facts import Case, Disk, Host, ObservedFrom, TrustList
from trustplane.diagnosis.groups import SECOND_HOST
from trustplane.diagnosis.layer import Role

_MISSING_CA: Final = frozenset({Code.ISSUER_NOT_TRUSTED, Code.SELF_SIGNED_SERVER, Code.CA_REKEYED})
_INCOMPLETE: Final = frozenset({Code.ISSUER_NOT_TRUSTED, Code.MISSING_INTERMEDIATE})
_TIMES: Final = frozenset({Code.CERTIFICATE_EXPIRED, Code.CERTIFICATE_NOT_YET_VALID})
# An update does not repair drift on a node that has already received the set; the inspection in a proof does.
_REPAIR: Final = (
    "kubectl annotate tkc CLUSTER -n NAMESPACE_OF_CLUSTER trustplane.dev/propagation=Automatic && "
    "trustplane prove CLUSTER -n NAMESPACE_OF_CLUSTER   # rewrites the files that differ; while the annotation is set, "
    "the cluster also takes every change of its lists"
)
_LEVELS: Final = 4  # of intermediates missing from a served chain
_CLOCK_TOLERANCE: Final = timedelta(minutes=1)


@dataclass(frozen=True)
class Chain:
    """A served chain, and the case it belongs to."""

    case: Case
    host: Host

    @property
    def name(self) -> str:
        """Return the dialled name, without port and brackets."""
        return urlsplit(f"//{self.host.address}").hostname or self.host.address

    @property
    def registry(self) -> str:
        """Return the registry whose entries count: containerd verifies its second hosts with the registry's CAs."""
        is_own = self.host.role is Role.MIRROR or not self.case.registry
        return self.host.address if is_own else self.case.registry

    def verdict_by(self, trust: TrustList | None) -> Verdict | None:
        """Verify as a node with this list and the public CAs does; None if the list is unknown."""
        if trust is None:
            return None
        ders = (der for _, der in trust.serving(self.registry))
        return verify(self.host.certificates, self._pool(ders), self.name, self.case.now)

    @cached_property
    def verdict_by_disk(self) -> Verdict | None:
        """Verify as the node does with its files; None if they are unknown."""
        if self.case.disk is None:
            return None
        return verify(self.host.certificates, self._disk_pool, self.name, self.case.now)

    @cached_property
    def verdict_by_clock(self) -> Verdict | None:
        """Verify with the node's files at the node's time; None if its clock is right."""
        disk = self.case.disk
        if disk is None or abs(disk.clock) <= _CLOCK_TOLERANCE:
            return None
        return verify(self.host.certificates, self._disk_pool, self.name, self.case.now + disk.clock)

    @cached_property
    def verdict_by_public_cas(self) -> Verdict:
        """Verify with the public CAs alone."""
        return verify(self.host.certificates, self._pool(()), self.name, self.case.now)

    @cached_property
    def _disk_pool(self) -> Pool:
        disk = self.case.disk
        return Pool(_readable(der for ders in (disk.roots.values() if disk else ()) for der in ders))

    def _pool(self, ders: Iterable[bytes]) -> Pool:
        return Pool(_readable((*ders, *self.case.public_cas)))

    def is_trusted_with(self, ders: Iterable[bytes], trust: TrustList | None) -> bool:
        """Return whether the list would trust the chain if the server also sent these certificates."""
        cas = trust.serving(self.registry) if trust else ()
        served = (*self.host.certificates, *ders)
        return verify(served, self._pool(der for _, der in cas), self.name, self.case.now).trusted

    def issuers(self) -> set[bytes]:
        """Return the names (DER) of the chain's issuers."""
        return {certificate.issuer.raw for certificate in _readable(self.host.certificates)}

    def authority(self) -> Authority | None:
        """Find the CA that makes the chain trusted; sources closest to the cluster come first."""
        issuers = self.issuers()
        for source, name, der in self._candidates():
            ca = _read(der)
            if ca is None or ca.subject.raw not in issuers:
                continue
            if verify(self.host.certificates, Pool([ca]), self.name, self.case.now).trusted:
                return Authority(ca.fingerprint, str(ca), source, name)
        return None

    def _candidates(self) -> Iterator[tuple[str, str, bytes]]:
        for trust in filter(None, (self.case.service, self.case.desired, *self.case.others)):
            yield from ((trust.owner, entry.name, der) for entry in trust.entries for der in entry.certificates)
        for der in reversed(self.host.certificates):
            yield f"the chain that {self.host.address} serves", "", der

    def known_issuers(self) -> list[bytes]:
        """Return the certificates, level by level, that may have issued the chain and that the server does not send."""
        candidates = [*(der for _, _, der in self._candidates()), *self.case.issuers]
        readable = [ca for ca in _readable(dict.fromkeys(candidates)) if ca.raw not in self.host.certificates]
        names, issuers = self.issuers(), dict[bytes, None]()
        for _ in range(_LEVELS):
            level = [ca for ca in readable if ca.subject.raw in names]
            issuers.update(dict.fromkeys(ca.raw for ca in level))
            names = {ca.issuer.raw for ca in level}
        return list(issuers)


def is_readable(host: Host) -> bool:
    """Return whether every certificate that a host served can be parsed."""
    return all(map(_read, host.certificates))


def conclude_from_chain(case: Case, host: Host) -> Conclusion | None:
    """Conclude why a node rejects a served chain; None if, by all evidence, it trusts the chain."""
    if not host.certificates:
        return None
    chain = Chain(case, host)
    by_force, by_desired = chain.verdict_by(case.in_force), chain.verdict_by(case.desired)
    if case.in_force is None and case.desired is None:
        return _conclude_unmanaged(chain, chain.verdict_by_disk or chain.verdict_by_public_cas)
    if by_force and by_force.trusted:
        return _conclude_node(chain)
    if by_desired and by_desired.trusted:
        return _conclude_not_in_force(chain, by_desired)
    return _conclude_rejected(chain, by_desired or by_force or chain.verdict_by_public_cas)


def _conclude_unmanaged(chain: Chain, verdict: Verdict) -> Conclusion | None:
    """Conclude without any list: the nodes' trust is unknown, so few causes are certain."""
    if verdict.trusted:
        return _conclude_node(chain)
    conclusion = _conclude_rejected(chain, verdict)
    uncertain = {*_MISSING_CA, *_INCOMPLETE, *SECOND_HOST.values()}
    if verdict.role is ChainRole.SERVER and not uncertain & set(conclusion.codes):
        return conclusion
    return replace(conclusion, reason=f"{conclusion.reason}; the nodes' trust list is unknown", is_certain=False)


def _conclude_not_in_force(chain: Chain, verdict: Verdict) -> Conclusion:
    if chain.case.in_force is None and (conclusion := _conclude_node(chain)):
        return conclusion
    if chain.case.in_force is None:
        reason = "the desired set contains the CA; the state of the node is unknown"
        return Conclusion((Code.TRUST_NOT_APPLIED, Code.RUNTIME_STALE), reason)
    reason = f"the cluster's desired set trusts {chain.host.address}, but the set in force does not"
    return Conclusion((Code.TRUST_NOT_APPLIED,), reason, authority=_anchor(verdict, chain.case.desired))


def _anchor(verdict: Verdict, trust: TrustList | None) -> Authority | None:
    """Return the entry of the verified chain's trust anchor."""
    for entry in trust.entries if trust else ():
        for ca in _readable(entry.certificates):
            if trust and ca.fingerprint == verdict.anchor:
                return Authority(ca.fingerprint, str(ca), trust.owner, entry.name)
    return None


def _conclude_node(chain: Chain) -> Conclusion | None:
    """Conclude what is wrong on the node, given that the cluster has the right set."""
    if not chain.case.image:  # a registry alone
        return None
    return _conclude_disk(chain) if chain.case.disk else _conclude_record(chain)


def _conclude_disk(chain: Chain) -> Conclusion | None:
    disk, verdict = chain.case.disk, chain.verdict_by_disk
    if disk is None or verdict is None:
        return None
    if not verdict.trusted:
        return _conclude_missing_on_disk(chain, disk, verdict)
    by_clock = chain.verdict_by_clock
    if by_clock and not by_clock.trusted and Code(str(by_clock.cause)) in _TIMES:
        return _conclude_clock(disk.clock, Code(str(by_clock.cause)))
    if disk.is_stale:
        reason = "the node's files are right, but its containerd started before they were written"
        return Conclusion((Code.RUNTIME_STALE,), reason, authority=_case_anchor(chain), reported_as=tuple(_TIMES))
    return None


def _conclude_missing_on_disk(chain: Chain, disk: Disk, verdict: Verdict) -> Conclusion:
    """Conclude what is wrong with the node's files, given that the cluster has the right set."""
    anchor, reported_as = _case_anchor(chain), (Code(str(verdict.cause)),)
    broken = [path for path in disk.malformed if anchor and path.endswith(f"/tkg-{anchor.name}.pem")]
    if broken:
        reason = f"no certificate can be parsed in {', '.join(broken)}"
        return Conclusion((Code.CA_FILE_MALFORMED,), reason, authority=anchor, reported_as=reported_as)
    drift = chain.case.node.drift if chain.case.node else ""
    reason = "; ".join(filter(None, ("the cluster's set contains the CA, but the node's files do not", drift)))
    step = _repair(chain.case)
    return Conclusion((Code.TRUST_NOT_APPLIED,), reason, authority=anchor, step=step, reported_as=reported_as)


def _repair(case: Case) -> str:
    """Return the next step for a node with drift; "" if an update has yet to write its files."""
    node = case.node
    return _REPAIR if case.cluster and node and (node.drift or node.is_current) else ""


def _conclude_clock(offset: timedelta, code: Code) -> Conclusion:
    direction = "ahead of" if offset > timedelta() else "behind"
    reason = f"the certificates are valid, but the node's clock is {abs(offset)} {direction} the local one"
    step = "on the node: timedatectl; correct the clock, for example: systemctl restart systemd-timesyncd"
    return Conclusion((code,), reason, step=step, actor=Actor.CLUSTER_OWNER)


def _case_anchor(chain: Chain) -> Authority | None:
    for trust in (chain.case.in_force, chain.case.desired):
        verdict = chain.verdict_by(trust)
        if verdict and (anchor := _anchor(verdict, trust)):
            return anchor
    return None


def _conclude_record(chain: Chain) -> Conclusion | None:
    """Conclude what is wrong on the node from the management cluster's record alone."""
    case, anchor = chain.case, _case_anchor(chain)
    node = case.node
    if node and node.is_stale:
        return Conclusion((Code.RUNTIME_STALE,), "the last inspection detected a stale runtime", authority=anchor)
    if node and (node.drift or node.is_current is False):
        reason = node.drift or "the last set written to the node is not the set in force"
        step = _repair(case) if node.drift else ""
        return Conclusion((Code.TRUST_NOT_APPLIED,), reason, authority=anchor, step=step)
    if node and node.proven_at and (case.failed_at is None or node.proven_at >= case.failed_at):
        return None
    if case.since and case.failed_at and case.failed_at < case.since:
        reason = "the pull failed before the cluster took the set with the CA"
        return Conclusion((Code.TRUST_NOT_APPLIED,), reason, is_certain=False, authority=anchor)
    reason = "the cluster's set contains the CA, but the node itself could not be read"
    return Conclusion((Code.TRUST_NOT_APPLIED, Code.RUNTIME_STALE), reason, authority=anchor)


def _conclude_rejected(chain: Chain, verdict: Verdict) -> Conclusion:
    code = Code(str(verdict.cause))
    if code in _INCOMPLETE and (missing := _conclude_missing_intermediate(chain, verdict)):
        return missing
    if code in _MISSING_CA:
        return _conclude_missing_ca(chain, verdict, SECOND_HOST.get(chain.host.role, code))
    reason = _reason(chain, verdict)
    if code is Code.MISSING_INTERMEDIATE and verdict.also_possible:
        authority = chain.authority() or _unknown_authority(verdict)
        return Conclusion((code, *_other_codes(verdict)), reason, authority=authority)
    return Conclusion((code,), reason)


def _conclude_missing_ca(chain: Chain, verdict: Verdict, code: Code) -> Conclusion:
    known, reason = chain.authority(), _reason(chain, verdict)
    authority = known or _unknown_authority(verdict)
    if verdict.also_possible and (known is None or not known.name):  # the chain alone does not decide
        return Conclusion((code, *_other_codes(verdict)), reason, authority=authority)
    step = _bypass_interception(chain)
    actor = Actor.NETWORK if step else None
    return Conclusion((code,), reason, authority=authority, step=step, actor=actor)


def _other_codes(verdict: Verdict) -> tuple[Code, ...]:
    return tuple(Code(str(cause)) for cause in verdict.also_possible)


def _conclude_missing_intermediate(chain: Chain, verdict: Verdict) -> Conclusion | None:
    """Detect an intermediate that the server does not send, but another source has."""
    if not verdict.also_possible:
        return None
    known = chain.known_issuers()
    for trust in (chain.case.in_force, chain.case.desired):
        if trust and known and chain.is_trusted_with(known, trust):
            reason = f"{verdict.stopped}; with the missing intermediate, found in another source, it would be trusted"
            return Conclusion((Code.MISSING_INTERMEDIATE,), reason)
    return None


def _reason(chain: Chain, verdict: Verdict) -> str:
    role = f", {verdict.role}" if verdict.role else ""
    place = "the node" if chain.host.observed_from is ObservedFrom.NODE else "here"
    proxy = f" through its proxy {chain.host.proxy}" if chain.host.proxy else ""
    return f"chain of {chain.host.address}, seen from {place}{proxy}{role}: {verdict.stopped or verdict.message}"


def _bypass_interception(chain: Chain) -> str:
    """Return the next step if the node receives another chain than this machine, and the latter is trusted."""
    if chain.host.observed_from is not ObservedFrom.NODE:
        return ""
    case, address = chain.case, chain.host.address
    local = [host for host in case.hosts if host.observed_from is ObservedFrom.HERE and host.address == address]
    for host in local:
        verdict = Chain(case, host).verdict_by(case.in_force or case.desired)
        if host.certificates and verdict and verdict.trusted:
            interceptor = (
                f"the proxy {chain.host.proxy} intercepts TLS to {address}"
                if chain.host.proxy
                else f"something between the node and {address} answers in its place: a TLS-intercepting proxy, or "
                "another DNS answer"
            )
            return (
                f"{interceptor}. Exempt the registry from it (NO_PROXY of containerd, the proxy's rules), or trust "
                "its CA"
            )
    return ""


def _unknown_authority(verdict: Verdict) -> Authority | None:
    last = verdict.chain[-1] if verdict.chain else None
    return Authority("", str(last.issuer), "no source") if last else None


def _readable(ders: Iterable[bytes]) -> Iterator[GoCertificate]:
    yield from (certificate for certificate in map(_read, ders) if certificate)


@lru_cache(maxsize=8192)  # every set of a fleet is verified with the same public CAs
def _read(der: bytes) -> GoCertificate | None:
    try:
        return GoCertificate.read(der)
    except MalformedError:
        return None
