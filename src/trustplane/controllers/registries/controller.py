"""Registry: what it serves, by which CA nodes trust it, and how many do."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from trustplane.api import clustertrust
from trustplane.api.condition_merge import merge, to_json
from trustplane.api.conditions import FALSE, TRUE, UNKNOWN
from trustplane.api.crds.fitting import fitted
from trustplane.api.keys import Key, key_of
from trustplane.api.meta import Condition
from trustplane.api.registry import KIND, REACHABLE, TRUSTED, Count, Registry, RegistryStatus
from trustplane.controllers.registries.chain import DialResult, dial_registry
from trustplane.controllers.registries.index import RegistryIndex
from trustplane.controllers.transitions import changed_conditions, record_events
from trustplane.errors import UserError
from trustplane.fleet.view import FleetView, truncate_to_seconds
from trustplane.kube.client import Client
from trustplane.kube.controller import Controller, Result, Watch
from trustplane.kube.errors import NotFoundError
from trustplane.kube.events import Recorder
from trustplane.kube.kinds import FIELD_MANAGER, REGISTRIES
from trustplane.proof import pull_secret
from trustplane.reporting import risks
from trustplane.reporting.pull_failures import of_registry
from trustplane.reporting.tally import Tally

_DIAL_EVERY = timedelta(minutes=10)
_DEBOUNCE = 1.0  # seconds, in which what many clusters say becomes one look


class RegistryReconciler:
    """Keeps the status of registries true.

    Args:
        client: To the management cluster.
        view: What is seen of clusters.
        recorder: For events.
        namespace: Trustplane's own.
    """

    def __init__(self, client: Client, view: FleetView, recorder: Recorder, *, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._view = view
        self._recorder = recorder
        watches: list[Watch[Any]] = [Watch(view.registries), Watch(view.configurations, self._all)]
        self._controller = Controller("registry", self.reconcile, watches, workers=2)
        self._index = RegistryIndex(view, recorder, self._wake)

    def controllers(self) -> list[Controller]:
        """Return the controllers: of what clusters say, and of what Registries say of that."""
        return [self._index.controller(), self._controller]

    def _wake(self, key: Key) -> None:
        self._controller.wake(key, after=_DEBOUNCE)

    def _all(self, _: object) -> list[Key]:
        return [key_of(one) for one in self._view.registries.items()]

    async def reconcile(self, key: Key) -> Result:
        """Look at one registry from here, and at what nodes prove of it."""
        registry = self._view.registries.get(key)
        if registry is None or registry.metadata.deletion_timestamp:
            return Result()
        if not self._index.is_complete:
            return Result(requeue_after=_DEBOUNCE)
        now = truncate_to_seconds(datetime.now(UTC))
        dialled = await self._dial(registry, now)
        status = _status(registry, dialled, await self._index.tally(registry.spec.host), now)
        status.failures = of_registry(registry, self._index.reporting(registry))
        served = msgspec.structs.replace(registry, status=status)
        at_risk = risks.judged(served, await self._index.risks(served, now))
        status.conditions = [
            *status.conditions,
            at_risk,
            *pull_secret.pull_secret_conditions(registry, self._namespace),
        ]
        await self._write(registry, status, now)
        return Result(requeue_after=_DIAL_EVERY.total_seconds())

    async def _dial(self, registry: Registry, now: datetime) -> DialResult | None:
        """Dial now and then; None where what the status says is new enough."""
        last, known = registry.status.last_dialled, registry.status.conditions
        seen = all(one.observed_generation == registry.metadata.generation for one in known) and bool(known)
        if last and seen and now - last < _DIAL_EVERY:
            return None
        try:
            return await asyncio.to_thread(dial_registry, registry.spec.host, self._view.service_list().trust, now)
        except UserError as error:
            return DialResult(failure=str(error))

    async def _write(self, registry: Registry, status: RegistryStatus, now: datetime) -> None:
        generation = registry.metadata.generation
        reached = [msgspec.structs.replace(one, observed_generation=generation) for one in status.conditions]
        conditions = merge(registry.status.conditions, reached, now)
        body = fitted(KIND, {**msgspec.to_builtins(status), "conditions": to_json(conditions)})
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
        changed = changed_conditions(registry.status.conditions, conditions, {REACHABLE, TRUSTED})
        await record_events(
            self._recorder, registry, [one for one in changed if old.get(one.type) != (one.status, one.reason)]
        )


def _status(registry: Registry, dialled: DialResult | None, said: Tally, now: datetime) -> RegistryStatus:
    before, is_new = registry.status, dialled is not None
    found = dialled or DialResult(chain=tuple(before.chain), anchor=before.anchor)
    return RegistryStatus(
        # What it served last is worth keeping while it cannot be reached.
        chain=list(found.chain or before.chain),
        anchor=found.anchor if found.chain else before.anchor,
        clusters=Count(trusting=said.trusting_clusters, total=said.clusters),
        nodes=Count(trusting=said.trusting, total=said.nodes),
        trusting_clusters=f"{said.trusting_clusters}/{said.clusters}",
        last_dialled=now if is_new else before.last_dialled,
        conditions=[_reachable(before, dialled, said), _trusted(said)],
    )


def _reachable(before: RegistryStatus, dialled: DialResult | None, said: Tally) -> Condition:
    old = next((one for one in before.conditions if one.type == REACHABLE), None)
    if dialled is None and old and old.reason == "Dialled":
        return Condition(type=REACHABLE, status=old.status, reason=old.reason, message=old.message)
    if dialled and not dialled.failure:
        more = f"; the first {len(dialled.chain)} are listed" if dialled.count > len(dialled.chain) else ""
        words = f"It serves {dialled.count} certificates{more}"
        return Condition(type=REACHABLE, status=TRUE, reason="Dialled", message=words)
    here = f"From here: {dialled.failure}" if dialled else old.message.partition(". ")[2] if old else ""
    if said.reaching:
        words = f"{said.reaching} of {said.nodes} nodes reach it. {here}"
        return Condition(type=REACHABLE, status=TRUE, reason="FromNodes", message=words)
    words = f"No node has reached it yet. {here}"
    return Condition(type=REACHABLE, status=FALSE if dialled or old else UNKNOWN, reason="Unreachable", message=words)


def _trusted(said: Tally) -> Condition:
    if said.refusing:
        named = _named(said.refusals, said.refusing)
        words = f"{said.refusing} of {said.nodes} nodes do not trust it: {named}"
        return Condition(type=TRUSTED, status=FALSE, reason=clustertrust.NOT_TRUSTED, message=words)
    if said.silent or not said.nodes:
        named = _named(said.silences, said.silent)
        words = f"{said.silent} of {said.nodes} nodes have not proven it: {named}" if said.nodes else "No nodes yet"
        return Condition(type=TRUSTED, status=UNKNOWN, reason="NotProven", message=words)
    words = f"All {said.nodes} nodes trust it"
    return Condition(type=TRUSTED, status=TRUE, reason=clustertrust.PROVEN, message=words)


def _named(shown: Sequence[str], count: int) -> str:
    more = count - len(shown)
    return "; ".join([*shown, f"and {more} more"] if more > 0 else shown)
