"""Controller of Registry: report its chain, the CA that anchors it, and how many nodes trust it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
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
from trustplane.kube.reconciler import Reconciler
from trustplane.proof import pull_secret
from trustplane.reporting import risks
from trustplane.reporting.pull_failures import registry_failures
from trustplane.reporting.tally import RegistryTally

_DIAL_EVERY = timedelta(minutes=10)
_DEBOUNCE = 1.0  # seconds to collect changes of several clusters


class RegistryReconciler(Reconciler):
    """Keep the status of registries current.

    Args:
        client: To the management cluster.
        view: The view of clusters.
        recorder: Recorder of Events.
        namespace: Trustplane's own namespace.
    """

    name = "registry"
    workers = 2

    def __init__(self, client: Client, view: FleetView, recorder: Recorder, *, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._view = view
        self._recorder = recorder
        self._index = RegistryIndex(view, recorder, partial(self.wake, after=_DEBOUNCE))

    def controllers(self) -> list[Controller]:
        """Return the controllers: of the index by cluster, and of the Registries."""
        return [self._index.controller(), self.controller()]

    def _watches(self) -> list[Watch[Any]]:
        return [Watch(self._view.registries), Watch(self._view.configurations, self._all)]

    def _all(self, _: object) -> list[Key]:
        return [key_of(registry) for registry in self._view.registries.items()]

    async def reconcile(self, key: Key) -> Result:
        """Dial one registry from here, and summarise the nodes' proofs for it."""
        registry = self._view.registries.get(key)
        if registry is None or registry.metadata.deletion_timestamp:
            return Result()
        if not self._index.is_complete:
            return Result(requeue_after=_DEBOUNCE)
        now = truncate_to_seconds(datetime.now(UTC))
        dialled = await self._dial(registry, now)
        status = _status(registry, dialled, await self._index.tally(registry.spec.host), now)
        status.failures = registry_failures(registry, self._index.reporting(registry))
        served = msgspec.structs.replace(registry, status=status)
        at_risk = risks.at_risk_condition_of(served, await self._index.risks(served, now))
        status.conditions = [
            *status.conditions,
            at_risk,
            *pull_secret.pull_secret_conditions(registry, self._namespace),
        ]
        await self._write(registry, status, now)
        return Result(requeue_after=_DIAL_EVERY.total_seconds())

    async def _dial(self, registry: Registry, now: datetime) -> DialResult | None:
        """Dial the registry; None if the status is recent enough."""
        last, conditions = registry.status.last_dialled, registry.status.conditions
        generation = registry.metadata.generation
        is_current = bool(conditions) and all(known.observed_generation == generation for known in conditions)
        if last and is_current and now - last < _DIAL_EVERY:
            return None
        try:
            return await asyncio.to_thread(dial_registry, registry.spec.host, self._view.service_list().trust, now)
        except UserError as error:
            return DialResult(failure=str(error))

    async def _write(self, registry: Registry, status: RegistryStatus, now: datetime) -> None:
        generation = registry.metadata.generation
        new = [msgspec.structs.replace(condition, observed_generation=generation) for condition in status.conditions]
        conditions = merge(registry.status.conditions, new, now)
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
        # Numbers in messages change with every node; only another status or reason deserves an Event.
        old = {known.type: (known.status, known.reason) for known in registry.status.conditions}
        changed = changed_conditions(registry.status.conditions, conditions, {REACHABLE, TRUSTED})
        events = [new for new in changed if old.get(new.type) != (new.status, new.reason)]
        await record_events(self._recorder, registry, events)


def _status(registry: Registry, dialled: DialResult | None, tally: RegistryTally, now: datetime) -> RegistryStatus:
    before, is_new = registry.status, dialled is not None
    result = dialled or DialResult(chain=tuple(before.chain), anchor=before.anchor)
    return RegistryStatus(
        # Keep the last served chain while the registry is unreachable.
        chain=list(result.chain or before.chain),
        anchor=result.anchor if result.chain else before.anchor,
        clusters=Count(trusting=tally.trusting_clusters, total=tally.clusters),
        nodes=Count(trusting=tally.trusting, total=tally.nodes),
        trusting_clusters=f"{tally.trusting_clusters}/{tally.clusters}",
        last_dialled=now if is_new else before.last_dialled,
        conditions=[_reachable(before, dialled, tally), _trusted(tally)],
    )


def _reachable(before: RegistryStatus, dialled: DialResult | None, tally: RegistryTally) -> Condition:
    old = next((condition for condition in before.conditions if condition.type == REACHABLE), None)
    if dialled is None and old and old.reason == "Dialled":
        return Condition(type=REACHABLE, status=old.status, reason=old.reason, message=old.message)
    if dialled and not dialled.failure:
        more = f"; the first {len(dialled.chain)} are listed" if dialled.count > len(dialled.chain) else ""
        message = f"The registry serves {dialled.count} certificates{more}"
        return Condition(type=REACHABLE, status=TRUE, reason="Dialled", message=message)
    here = f"From here: {dialled.failure}" if dialled else old.message.partition(". ")[2] if old else ""
    if tally.reaching:
        message = f"{tally.reaching} of {tally.nodes} nodes reach the registry. {here}"
        return Condition(type=REACHABLE, status=TRUE, reason="FromNodes", message=message)
    message = f"No node has reached the registry yet. {here}"
    return Condition(type=REACHABLE, status=FALSE if dialled or old else UNKNOWN, reason="Unreachable", message=message)


def _trusted(tally: RegistryTally) -> Condition:
    if tally.refusing:
        named = _named(tally.refusing_messages, tally.refusing)
        message = f"{tally.refusing} of {tally.nodes} nodes do not trust the registry: {named}"
        return Condition(type=TRUSTED, status=FALSE, reason=clustertrust.NOT_TRUSTED, message=message)
    if tally.silent or not tally.nodes:
        named = _named(tally.silent_messages, tally.silent)
        unproven = f"{tally.silent} of {tally.nodes} nodes have not proven trust: {named}"
        message = unproven if tally.nodes else "No nodes yet"
        return Condition(type=TRUSTED, status=UNKNOWN, reason="NotProven", message=message)
    message = f"All {tally.nodes} nodes trust the registry"
    return Condition(type=TRUSTED, status=TRUE, reason=clustertrust.PROVEN, message=message)


def _named(shown: Sequence[str], count: int) -> str:
    more = count - len(shown)
    return "; ".join([*shown, f"and {more} more"] if more > 0 else shown)
