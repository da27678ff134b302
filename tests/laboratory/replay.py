"""Scenarios as collectors gather them: each source gives its part of the case, or is broken in one of three ways."""

import dataclasses
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

from laboratory.material import listed
from trustplane.api.keys import Key
from trustplane.diagnosis.evidence import disk, fleet, gathering, hosts, node_ssh, pods
from trustplane.diagnosis.evidence.disk import NodeInspection
from trustplane.diagnosis.evidence.fleet import ClusterSets
from trustplane.diagnosis.facts import Case, Host, NodeRecord, ObservedFrom
from trustplane.diagnosis.layer import Role
from trustplane.errors import NodeError, TransientError
from trustplane.registry.address import Address
from trustplane.registry.dial import Served
from trustplane.registry.failure import Failure
from trustplane.registry.reach import Target, Unasked

T = TypeVar("T")
FAILS, TIMES_OUT, GARBAGE, FORBIDDEN = "fails", "times out", "returns garbage", "is not asked"
SOURCES = ("secrets", "sets", "service", "others", "record", "ssh", "hosts", "answers", "issuers")
NODE = "worker-0"
_CLIENT: Any = object()  # the sources below answer in its place


class Replay:
    """The sources of a case.

    Args:
        case: All evidence.
        broken: How sources are broken, by name: those of `SOURCES`, `here ADDRESS` and `node ADDRESS`.
    """

    def __init__(self, case: Case, broken: dict[str, str]) -> None:
        self.case, self.broken = case, broken

    @staticmethod
    def sources(case: Case) -> list[str]:
        """Return the names of a case's sources."""
        return [*SOURCES, *dict.fromkeys(f"{host.observed_from} {host.address}" for host in case.hosts)]

    async def gather(self) -> Case:
        """Gather the case from its sources."""
        cluster = Key("team", "shop") if self.case.cluster else None
        management = _CLIENT if cluster else None
        access = gathering.ClusterAccess(_CLIENT, management, cluster, use_ssh=self.case.disk is not None)
        with self._sources():
            [case] = await gathering.gather_pod_cases(access, Key("shop", "web-0"))
        return dataclasses.replace(case, now=self.case.now, public_cas=self.case.public_cas)

    @contextmanager
    def _sources(self) -> Iterator[None]:
        case = self.case
        service = case.service or listed("the service's list")
        pod = {"metadata": {"name": "web-0", "namespace": "shop"}, "spec": {"nodeName": NODE}}
        failed = pods.ImageMessages(case.image, case.messages, case.failed_at)
        digest = "0" * 64 if case.in_force else ""
        sets = ClusterSets(case.desired, case.in_force, digest, case.since)
        record = (_CLIENT, case.node or NodeRecord(NODE))
        answered: list[tuple[Any, str, Callable[..., Any]]] = [
            (pods, "read_pod", self._give("pod", pods.Pod(Key("shop", "web-0"), pod, (failed,)))),
            (pods, "assess_pull_secrets", self._give("secrets", case.secrets or (), error=KeyError("metadata"))),
            (fleet, "read_cluster_sets", self._give("sets", sets, ClusterSets(digest="1" * 64))),
            (fleet, "read_service_list", self._give("service", service, listed("the service's list"))),
            (fleet, "read_other_sets", self._give("others", [((Key("team", "x"),), one) for one in case.others], [])),
            (gathering, "_read_record", self._give("record", record, (None, NodeRecord(NODE)))),
            (node_ssh, "inspect_machine", self._give("ssh", self._inspection(), error=NodeError("It is incomplete"))),
            (hosts, "_fetch_issuers", self._issuers),
            (hosts, "target", lambda _registry, address, **_: self._target(address)),
            (hosts, "dial", self._dial),
            (hosts, "_ask", self._ask),
        ]
        with ExitStack() as stack:
            for module, name, function in answered:
                stack.enter_context(patch.object(module, name, function))
            if "hosts" in self.broken:
                stack.enter_context(patch.object(hosts, "observe_hosts", self._give("hosts", None)))
            yield

    def _give(
        self, source: str, value: T, garbage: T | None = None, error: Exception | None = None
    ) -> Callable[..., Any]:
        async def give(*_: object, **__: object) -> T | None:
            self._break(source)
            if self.broken.get(source) != GARBAGE:
                return value
            if error:
                raise error
            return garbage

        return give

    def _break(self, source: str) -> None:
        how = self.broken.get(source)
        if how == FAILS:
            raise TransientError(f"The source {source} does not answer")
        if how == TIMES_OUT:  # as a time limit that passes
            raise TimeoutError

    def _from(self, place: ObservedFrom) -> list[Host]:
        return [host for host in self.case.hosts if host.observed_from is place]

    def _inspection(self) -> NodeInspection:
        lost = [host for host in self._from(ObservedFrom.NODE) if f"node {host.address}" in self.broken]
        seen = [host for host in self._from(ObservedFrom.NODE) if host not in lost]
        known = self.case.disk or disk.Disk()
        return NodeInspection(known, tuple(seen), self.case.challenge, tuple(host.address for host in lost))

    def _target(self, address: Address) -> Target | Unasked:
        if self.broken.get(f"here {address}") == FORBIDDEN:
            return Unasked(str(address), "it is not on the registry's site")
        return Target(address)

    def _dial(self, target: Address | Target, _seconds: float) -> Served:
        address = str(target.address if isinstance(target, Target) else target)
        self._break(f"here {address}")
        if self.broken.get(f"here {address}") == GARBAGE:
            return Served((b"garbage",), "TLSv1.3")
        known = next((host for host in self._from(ObservedFrom.HERE) if host.address == address), None)
        if known is None:
            return Served((), "", Failure("connection-refused", "connection refused"))
        return Served(known.certificates, "TLSv1.3", Failure(known.failure, known.message) if known.failure else None)

    def _ask(self, *_: object) -> hosts._Answer:
        self._break("answers")
        if self.broken.get("answers") == GARBAGE:
            return hosts._Answer(failure=Failure("not-a-registry", "GET /v2/ answers 302"))
        tokens, blobs = (self._second(role) for role in (Role.TOKEN_SERVICE, Role.BLOB_STORE))
        return hosts._Answer(None, self.case.challenge, tokens, blobs, self.case.anonymous)

    def _second(self, role: Role) -> Target | Unasked | None:
        addresses = (host.address for host in self._from(ObservedFrom.HERE) if host.role is role)
        return next((self._target(Address.read(address)) for address in addresses), None)

    async def _issuers(self, observation: hosts.RegistryObservation, *_: object) -> None:
        if "issuers" not in self.broken:
            observation.issuers += self.case.issuers


def each_broken(case: Case) -> Iterator[dict[str, str]]:
    """Yield every way in which one source of a case is broken."""
    yield from ({source: how} for source in Replay.sources(case) for how in ways(source))


def ways(source: str) -> Collection[str]:
    """Return the ways in which a source can be broken."""
    if source == "hosts":  # all of them, as a whole
        return FAILS, TIMES_OUT
    return (FAILS, TIMES_OUT, GARBAGE, FORBIDDEN) if source.startswith("here ") else (FAILS, TIMES_OUT, GARBAGE)
