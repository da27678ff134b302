"""What each set of CAs makes of a served chain, and so why a node refuses it. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import Final
from urllib.parse import urlsplit

from trustplane.certificates.verification import GoCertificate, MalformedError, Pool, Verdict, verify
from trustplane.certificates.verification import Role as ChainRole
from trustplane.diagnosis.cause import Actor, Code
from trustplane.diagnosis.evidence import Case, Disk, Host, TrustList, Vantage
from trustplane.diagnosis.finding import Authority, Finding
from trustplane.diagnosis.layer import Role

SECOND_HOST: Final = {
    Role.TOKEN_SERVICE: Code.TOKEN_SERVICE_UNTRUSTED,
    Role.BLOB_STORE: Code.BLOB_HOST_UNTRUSTED,
}
_NOT_LISTED: Final = frozenset({Code.ISSUER_NOT_TRUSTED, Code.SELF_SIGNED_SERVER, Code.CA_REKEYED})
_OPEN_END: Final = frozenset({Code.ISSUER_NOT_TRUSTED, Code.MISSING_INTERMEDIATE})
_TIMES: Final = frozenset({Code.CERTIFICATE_EXPIRED, Code.CERTIFICATE_NOT_YET_VALID})
# An update does nothing for a node that was given the set in force; a look at it, which a proof asks for, repairs it.
_REPAIR: Final = (
    "kubectl annotate tkc CLUSTER -n NAMESPACE_OF_CLUSTER trustplane.dev/propagation=Automatic && "
    "trustplane prove CLUSTER -n NAMESPACE_OF_CLUSTER   # what differs on its nodes is written again; as long as the "
    "annotation is there, it also takes changes of its lists at once"
)
_LEVELS: Final = 4  # of intermediates that a server may have left out
_CLOCK: Final = timedelta(minutes=1)  # what a clock may be off without being named


@dataclass(frozen=True)
class Chain:
    """A served chain in the light of a case."""

    case: Case
    host: Host

    @property
    def name(self) -> str:
        """The name that is dialled, without a port and brackets."""
        return urlsplit(f"//{self.host.address}").hostname or self.host.address

    @property
    def registry(self) -> str:
        """Whose entries of a list count: containerd asks token service and blob store with the registry's CAs."""
        own = self.host.role is Role.MIRROR or not self.case.registry
        return self.host.address if own else self.case.registry

    def accepted_by(self, listed: TrustList | None, *, at: datetime | None = None) -> Verdict | None:
        """Decide as a node with a list, besides what nodes trust anyway; None where the list is not known."""
        if listed is None:
            return None
        ders = (der for _, der in listed.serving(self.registry))
        return verify(self.host.certificates, self._pool(ders), self.name, at or self.case.now)

    @cached_property
    def on_disk(self) -> Verdict | None:
        """Decide as the node would with its files; None where they are not known."""
        if self.case.disk is None:
            return None
        return verify(self.host.certificates, self._disk, self.name, self.case.now)

    @cached_property
    def by_node_clock(self) -> Verdict | None:
        """Decide with the node's files at the node's time; None where that is ours."""
        disk = self.case.disk
        if disk is None or abs(disk.clock) <= _CLOCK:
            return None
        return verify(self.host.certificates, self._disk, self.name, self.case.now + disk.clock)

    @cached_property
    def by_bundle(self) -> Verdict:
        """Decide with nothing but what nodes trust anyway."""
        return verify(self.host.certificates, self._bundle, self.name, self.case.now)

    @cached_property
    def _bundle(self) -> Pool:
        return self._pool(())

    @cached_property
    def _disk(self) -> Pool:
        disk = self.case.disk
        return Pool(_readable(one for found in (disk.roots.values() if disk else ()) for one in found))

    def _pool(self, ders: Iterable[bytes]) -> Pool:
        return Pool(_readable((*ders, *self.case.bundle)))

    def with_certificates(self, ders: Iterable[bytes], pool: TrustList | None) -> bool:
        """Tell whether the chain would be accepted had the server sent these as well."""
        listed = pool.serving(self.registry) if pool else ()
        served = (*self.host.certificates, *ders)
        return verify(served, self._pool(der for _, der in listed), self.name, self.case.now).trusted

    def issuers(self) -> set[bytes]:
        """Return the names (DER) of the chain's issuers."""
        return {one.issuer.raw for one in _readable(self.host.certificates)}

    def authority(self) -> Authority | None:
        """Find the CA with which the chain would be accepted, as near to the cluster as there is one."""
        wanted = self.issuers()
        for where, name, der in self._candidates():
            one = _read(der)
            if one is None or one.subject.raw not in wanted:
                continue
            if verify(self.host.certificates, Pool([one]), self.name, self.case.now).trusted:
                return Authority(one.fingerprint, str(one), where, name)
        return None

    def _candidates(self) -> Iterator[tuple[str, str, bytes]]:
        lists = [one for one in (self.case.service, self.case.desired, *self.case.others) if one]
        for listed in lists:
            yield from ((listed.owner, entry.name, one) for entry in listed.entries for one in entry.certificates)
        for der in reversed(self.host.certificates):
            yield f"the chain that {self.host.address} serves", "", der

    def known_certificates(self) -> list[bytes]:
        """Return what could have issued the chain, level by level: of any list, or published, and not served."""
        candidates = [*(der for _, _, der in self._candidates()), *self.case.issuers]
        readable = [one for one in _readable(dict.fromkeys(candidates)) if one.raw not in self.host.certificates]
        wanted, found = self.issuers(), dict[bytes, None]()
        for _ in range(_LEVELS):
            level = [one for one in readable if one.subject.raw in wanted]
            found.update(dict.fromkeys(one.raw for one in level))
            wanted = {one.issuer.raw for one in level}
        return list(found)


def of_chain(case: Case, host: Host) -> Finding | None:
    """Say why a node refuses a served chain; None where, by all that is known, it does not."""
    if not host.certificates:
        return None
    chain = Chain(case, host)
    forced, wanted = chain.accepted_by(case.in_force), chain.accepted_by(case.desired)
    if case.in_force is None and case.desired is None:
        return _of_unmanaged(chain, chain.on_disk or chain.by_bundle)
    if forced and forced.trusted:
        return _of_node(chain)
    if wanted and wanted.trusted:
        return _not_taken(chain, wanted)
    refused = wanted or forced or chain.by_bundle
    return _refused(chain, refused)


def _of_unmanaged(chain: Chain, refused: Verdict) -> Finding | None:
    """Judge without any list: what nodes are meant to trust is not known, so that little is certain."""
    if refused.trusted:
        return _of_node(chain)
    finding = _refused(chain, refused)
    if refused.role is ChainRole.SERVER and not {*_NOT_LISTED, *_OPEN_END, *SECOND_HOST.values()} & set(finding.codes):
        return finding
    reason = f"{finding.reason}; what the list of these nodes has is not known"
    return replace(finding, reason=reason, is_certain=False)


def _not_taken(chain: Chain, wanted: Verdict) -> Finding:
    if chain.case.in_force is None and (at := _of_node(chain)):
        return at
    reason = f"the list that the cluster should have trusts {chain.host.address}; the set that it has taken does not"
    if chain.case.in_force is None:
        return Finding((Code.TRUST_NOT_APPLIED, Code.RUNTIME_STALE), "the list has the CA; the node is not known")
    return Finding((Code.TRUST_NOT_APPLIED,), reason, authority=_anchor(wanted, chain.case.desired))


def _anchor(verdict: Verdict, listed: TrustList | None) -> Authority | None:
    """Name the entry that a chain ends in."""
    for entry in listed.entries if listed else ():
        for one in _readable(entry.certificates):
            if listed and one.fingerprint == verdict.anchor:
                return Authority(one.fingerprint, str(one), listed.owner, entry.name)
    return None


def _of_node(chain: Chain) -> Finding | None:
    """Say what is wrong on the node where the cluster has the right set."""
    if not chain.case.image:  # a registry alone
        return None
    return _of_disk(chain) if chain.case.disk else _of_record(chain)


def _of_disk(chain: Chain) -> Finding | None:
    disk, found = chain.case.disk, chain.on_disk
    if disk is None or found is None:
        return None
    if not found.trusted:
        return _not_on_disk(chain, disk, found)
    if (clock := chain.by_node_clock) and not clock.trusted and Code(str(clock.cause)) in _TIMES:
        return _of_clock(disk.clock, Code(str(clock.cause)))
    if disk.is_stale:
        reason = "the files on the node are right, and its containerd was started before they were"
        return Finding((Code.RUNTIME_STALE,), reason, authority=_anchor_of_case(chain), told_as=tuple(_TIMES))
    return None


def _not_on_disk(chain: Chain, disk: Disk, found: Verdict) -> Finding:
    """Say what is wrong with the files of a node whose cluster has the right set."""
    anchor, told_as = _anchor_of_case(chain), (Code(str(found.cause)),)
    broken = [path for path in disk.malformed if anchor and path.endswith(f"/tkg-{anchor.name}.pem")]
    if broken:
        reason = f"no certificate can be read from {', '.join(broken)}"
        return Finding((Code.CA_FILE_MALFORMED,), reason, authority=anchor, told_as=told_as)
    reason = "the set of the cluster has the CA, the files on the node have not"
    drift = chain.case.node.drift if chain.case.node else ""
    words = "; ".join(filter(None, (reason, drift)))
    return Finding((Code.TRUST_NOT_APPLIED,), words, authority=anchor, step=_repair(chain.case), told_as=told_as)


def _repair(case: Case) -> str:
    """Return the step for a node on which files differ; nothing where an update is yet to write them."""
    node = case.node
    return _REPAIR if case.cluster and node and (node.drift or node.is_current) else ""


def _of_clock(off: timedelta, code: Code) -> Finding:
    side = "ahead of" if off > timedelta() else "behind"
    reason = f"the certificates are valid; the node's clock is {abs(off)} {side} ours"
    step = "on the node: timedatectl; set its clock right, such as: systemctl restart systemd-timesyncd"
    return Finding((code,), reason, step=step, actor=Actor.CLUSTER_OWNER)


def _anchor_of_case(chain: Chain) -> Authority | None:
    for listed in (chain.case.in_force, chain.case.desired):
        verdict = chain.accepted_by(listed)
        if verdict and (anchor := _anchor(verdict, listed)):
            return anchor
    return None


def _of_record(chain: Chain) -> Finding | None:
    """Say what is wrong on a node that is only known by the management cluster."""
    case, anchor = chain.case, _anchor_of_case(chain)
    node = case.node
    if node and node.is_stale:
        return Finding((Code.RUNTIME_STALE,), "the last look at the node found so", authority=anchor)
    if node and (node.drift or node.is_current is False):
        reason = node.drift or "the set in force is not what was written on the node last"
        step = _repair(case) if node.drift else ""
        return Finding((Code.TRUST_NOT_APPLIED,), reason, authority=anchor, step=step)
    if node and node.trusts and (case.failed_at is None or node.trusts >= case.failed_at):
        return None
    if case.since and case.failed_at and case.failed_at < case.since:
        reason = "it failed before the cluster took the set that has the CA"
        return Finding((Code.TRUST_NOT_APPLIED,), reason, is_certain=False, authority=anchor)
    reason = "the cluster's set has the CA; the node itself could not be looked at"
    return Finding((Code.TRUST_NOT_APPLIED, Code.RUNTIME_STALE), reason, authority=anchor)


def _refused(chain: Chain, verdict: Verdict) -> Finding:
    code = Code(str(verdict.cause))
    host = chain.host
    if code in _OPEN_END and (missing := _missing(chain, verdict)):
        return missing
    authority = chain.authority() if code in _NOT_LISTED else None
    if code in _NOT_LISTED:
        listed = (SECOND_HOST.get(host.role, code),)
        if verdict.also_possible and (authority is None or not authority.name):  # the chain alone cannot tell
            others = tuple(Code(str(one)) for one in verdict.also_possible)
            return Finding((*listed, *others), _reason(chain, verdict), authority=authority or _unknown(verdict))
        found = authority or _unknown(verdict)
        step = _intercepted(chain)
        actor = Actor.NETWORK if step else None
        return Finding(listed, _reason(chain, verdict), authority=found, step=step, actor=actor)
    if code is Code.MISSING_INTERMEDIATE and verdict.also_possible:
        others = tuple(Code(str(one)) for one in verdict.also_possible)
        return Finding((code, *others), _reason(chain, verdict), authority=chain.authority() or _unknown(verdict))
    return Finding((code,), _reason(chain, verdict))


def _missing(chain: Chain, verdict: Verdict) -> Finding | None:
    """Recognise an intermediate that the server does not send by that it is known from elsewhere."""
    if not verdict.also_possible:
        return None
    known = chain.known_certificates()
    for listed in (chain.case.in_force, chain.case.desired):
        if listed and known and chain.with_certificates(known, listed):
            reason = f"{verdict.stopped}; it would be accepted with the intermediate, which is known from elsewhere"
            return Finding((Code.MISSING_INTERMEDIATE,), reason)
    return None


def _reason(chain: Chain, verdict: Verdict) -> str:
    role = f", {verdict.role}" if verdict.role else ""
    place = "the node" if chain.host.vantage is Vantage.NODE else "here"
    way = f" through its proxy {chain.host.proxy}" if chain.host.proxy else ""
    return f"chain of {chain.host.address}, seen from {place}{way}{role}: {verdict.stopped or verdict.message}"


def _intercepted(chain: Chain) -> str:
    """Say what to do where the node is shown another chain than we are, and ours is good."""
    if chain.host.vantage is not Vantage.NODE:
        return ""
    case = chain.case
    ours = [one for one in case.hosts if one.vantage is Vantage.HERE and one.address == chain.host.address]
    for one in ours:
        seen = Chain(case, one).accepted_by(case.in_force or case.desired)
        if one.certificates and seen and seen.trusted:
            answers = (
                f"something between the node and {one.address} answers in its place (a proxy that opens TLS, or "
                "another DNS answer)"
            )
            if chain.host.proxy:
                answers = f"the proxy {chain.host.proxy} answers in the place of {one.address} (it opens TLS)"
            return (
                f"{answers}: take the registry out of it (NO_PROXY of containerd, the proxy's exceptions), "
                "or trust its CA"
            )
    return ""


def _unknown(verdict: Verdict) -> Authority | None:
    last = verdict.chain[-1] if verdict.chain else None
    return Authority("", str(last.issuer), "nobody that was asked") if last else None


def _readable(ders: Iterable[bytes]) -> Iterator[GoCertificate]:
    yield from (one for one in map(_read, ders) if one)


@lru_cache(maxsize=8192)  # every set of a fleet is judged with the same CAs that nodes trust anyway
def _read(der: bytes) -> GoCertificate | None:
    try:
        return GoCertificate.read(der)
    except MalformedError:
        return None
