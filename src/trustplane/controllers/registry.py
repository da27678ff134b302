"""Registry: what it serves, by which CA nodes trust it, and how many do."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from trustplane.api import clustertrust
from trustplane.api.conditions import FALSE, TRUE, UNKNOWN
from trustplane.api.meta import Condition, Json
from trustplane.api.registry import REACHABLE, TRUSTED, Count, Registry, RegistryStatus
from trustplane.clusterapi.reporting import merge, to_json
from trustplane.controllers.clustertrust_view import Seen, View, whole_seconds
from trustplane.controllers.registry_chain import Dialled, look
from trustplane.controllers.resources import FIELD_MANAGER, REGISTRIES
from trustplane.controllers.transitions import report, turned
from trustplane.errors import UserError
from trustplane.kube.client import Client
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.errors import NotFoundError
from trustplane.kube.events import Recorder
from trustplane.kube.resource import Key, key_of
from trustplane.trust import pull_secret, risk
from trustplane.trust.failures import of_registry
from trustplane.trust.standing import judgements

_DIAL_EVERY = timedelta(minutes=10)
_SHOWN = 5


@dataclass(frozen=True)
class _Node:
    cluster: str
    name: str
    verdict: str  # empty: no valid proof
    words: str


class RegistryReconciler:
    """Keeps the status of registries true.

    Args:
        client: To the management cluster.
        view: What is seen of clusters.
        recorder: For events.
        namespace: Trustplane's own.
    """

    def __init__(self, client: Client, view: View, recorder: Recorder, *, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._view = view
        self._recorder = recorder

    def controller(self) -> Controller:
        """Return the controller."""
        view = self._view
        watches: list[Watch[Any]] = [
            Watch(view.registries),
            Watch(view.trusts, self._all),
            Watch(view.configurations, self._all),
        ]
        return Controller("registry", self.reconcile, watches, workers=2)

    def _all(self, _: object) -> list[Key]:
        return [key_of(one) for one in self._view.registries.items()]

    async def reconcile(self, key: Key) -> Result:
        """Look at one registry from here, and at what nodes prove of it."""
        registry = self._view.registries.get(key)
        if registry is None or registry.metadata.deletion_timestamp:
            return Result()
        now = whole_seconds(datetime.now(UTC))
        dialled = await self._dial(registry, now)
        clusters = [one for one in await self._clusters() if registry.spec.host in one.hosts]
        status = _status(registry, dialled, [_nodes(one, registry.spec.host) for one in clusters], now)
        trusts = self._view.trusts.items()
        status.failures = of_registry(registry, trusts)
        at_risk = risk.condition(msgspec.structs.replace(registry, status=status), trusts, now)
        status.conditions = [*status.conditions, at_risk, *pull_secret.conditions(registry, self._namespace)]
        await self._write(registry, status, now)
        return Result(requeue_after=_DIAL_EVERY.total_seconds())

    async def _dial(self, registry: Registry, now: datetime) -> Dialled | None:
        """Dial now and then; None where what the status says is new enough."""
        last, known = registry.status.last_dialled, registry.status.conditions
        seen = all(one.observed_generation == registry.metadata.generation for one in known) and bool(known)
        if last and seen and now - last < _DIAL_EVERY:
            return None
        try:
            return await asyncio.to_thread(look, registry.spec.host, self._view.service().trust, now)
        except UserError as error:
            return Dialled(failure=str(error))

    async def _clusters(self) -> list[Seen]:
        found = [await self._view.see(key) for key in self._view.all_keys()]
        return [one for one in found if one]

    async def _write(self, registry: Registry, status: RegistryStatus, now: datetime) -> None:
        generation = registry.metadata.generation
        reached = [msgspec.structs.replace(one, observed_generation=generation) for one in status.conditions]
        conditions = merge(registry.status.conditions, reached, now)
        body: Json = {**msgspec.to_builtins(status), "conditions": to_json(conditions)}
        if msgspec.convert(body, RegistryStatus) == registry.status:
            return
        metadata = {"name": registry.metadata.name}
        try:
            await self._client.apply(
                REGISTRIES, {"metadata": metadata, "status": body}, manager=FIELD_MANAGER, subresource="status"
            )
        except NotFoundError:
            return
        old = {one.type: (one.status, one.reason) for one in registry.status.conditions}
        changed = turned(registry.status.conditions, conditions, {REACHABLE, TRUSTED})
        await report(
            self._recorder, registry, [one for one in changed if old.get(one.type) != (one.status, one.reason)]
        )


def _nodes(seen: Seen, host: str) -> list[_Node]:
    name = str(key_of(seen.cluster))
    found = []
    for facts in seen.nodes:
        judged = next(iter(judgements(facts, {host})), None)
        node = facts.node or facts.machine
        found.append(_Node(name, node, judged.verdict if judged else "", judged.words if judged else "no proof yet"))
    return found


def _status(registry: Registry, dialled: Dialled | None, clusters: list[list[_Node]], now: datetime) -> RegistryStatus:
    nodes = [one for cluster in clusters for one in cluster]
    trusting = sum(bool(one) and all(each.verdict == clustertrust.TRUSTED for each in one) for one in clusters)
    before, is_new = registry.status, dialled is not None
    found = dialled or Dialled(chain=tuple(before.chain), anchor=before.anchor)
    return RegistryStatus(
        # What it served last is worth keeping while it cannot be reached.
        chain=list(found.chain or before.chain),
        anchor=found.anchor if found.chain else before.anchor,
        clusters=Count(trusting=trusting, total=len(clusters)),
        nodes=Count(trusting=sum(one.verdict == clustertrust.TRUSTED for one in nodes), total=len(nodes)),
        trusting_clusters=f"{trusting}/{len(clusters)}",
        last_dialled=now if is_new else before.last_dialled,
        conditions=[_reachable(before, dialled, nodes), _trusted(nodes)],
    )


def _reachable(before: RegistryStatus, dialled: Dialled | None, nodes: list[_Node]) -> Condition:
    old = next((one for one in before.conditions if one.type == REACHABLE), None)
    if dialled is None and old and old.reason == "Dialled":
        return Condition(type=REACHABLE, status=old.status, reason=old.reason, message=old.message)
    if dialled and not dialled.failure:
        words = f"It serves {len(dialled.chain)} certificates"
        return Condition(type=REACHABLE, status=TRUE, reason="Dialled", message=words)
    answers = (clustertrust.TRUSTED, clustertrust.ACCEPTED, clustertrust.NOT_TRUSTED)
    reached = [one for one in nodes if one.verdict in answers]
    here = f"From here: {dialled.failure}" if dialled else old.message.partition(". ")[2] if old else ""
    if reached:
        words = f"{len(reached)} of {len(nodes)} nodes reach it. {here}"
        return Condition(type=REACHABLE, status=TRUE, reason="FromNodes", message=words)
    words = f"No node has reached it yet. {here}"
    return Condition(type=REACHABLE, status=FALSE if dialled or old else UNKNOWN, reason="Unreachable", message=words)


def _trusted(nodes: list[_Node]) -> Condition:
    refusing = [one for one in nodes if one.verdict == clustertrust.NOT_TRUSTED]
    silent = [one for one in nodes if one.verdict not in (clustertrust.TRUSTED, clustertrust.NOT_TRUSTED)]
    if refusing:
        words = f"{len(refusing)} of {len(nodes)} nodes do not trust it: {_named(refusing)}"
        return Condition(type=TRUSTED, status=FALSE, reason=clustertrust.NOT_TRUSTED, message=words)
    if silent or not nodes:
        words = f"{len(silent)} of {len(nodes)} nodes have not proven it: {_named(silent)}" if nodes else "No nodes yet"
        return Condition(type=TRUSTED, status=UNKNOWN, reason="NotProven", message=words)
    return Condition(type=TRUSTED, status=TRUE, reason=clustertrust.PROVEN, message=f"All {len(nodes)} nodes trust it")


def _named(nodes: list[_Node]) -> str:
    shown = [f"{one.name} of {one.cluster}: {one.words}" for one in nodes[:_SHOWN]]
    more = len(nodes) - len(shown)
    return "; ".join([*shown, f"and {more} more"] if more else shown)
