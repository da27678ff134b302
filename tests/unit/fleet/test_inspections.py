"""Inspections and repairs of nodes end with the reconcile that started them."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from trustplane.api.clustertrust import Inspection
from trustplane.api.keys import Key
from trustplane.controllers.proof import controller
from trustplane.controllers.proof.controller import ProofReconciler
from trustplane.fleet import inspection
from trustplane.fleet.inspection import InspectionResult
from trustplane.kube.errors import UnavailableError
from trustplane.trust.entries import EMPTY_SET

KEY = Key("team", "shop")
NAMES = [f"m{number}" for number in range(5)]


class Inspections:
    """Inspections that wait for `go`; API writes for `failing` machines get no answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *failing: str) -> None:
        self.running: set[str] = set()
        self.recorded: set[str] = set()
        self.began, self.go = asyncio.Event(), asyncio.Event()
        self._failing = failing

        async def private_key(*_: Any) -> str:
            return "key"

        monkeypatch.setattr(controller, "inspect_node", self._inspect)
        monkeypatch.setattr(inspection, "find_private_key", private_key)
        monkeypatch.setattr(ProofReconciler, "_record_inspection", self._record)

    async def _inspect(self, _client: Any, machine: str, *_: Any, **__: Any) -> InspectionResult:
        self.running.add(machine)
        if len(self.running) == len(NAMES):
            self.began.set()
        try:
            if machine not in self._failing:
                await self.go.wait()
            return InspectionResult(Inspection(digest="d", at=datetime.now(UTC)))
        finally:
            self.running.discard(machine)

    async def _record(self, _state: Any, facts: Any, _result: InspectionResult) -> None:
        if facts.machine in self._failing:
            asyncio.get_running_loop().call_later(0.05, self.go.set)
            raise UnavailableError(f"PATCH machines/{facts.machine} had no answer")
        self.recorded.add(facts.machine)

    async def inspect(self) -> None:
        machines = {name: name for name in NAMES}
        sets = SimpleNamespace(in_force=EMPTY_SET, digest=EMPTY_SET.digest)
        state: Any = SimpleNamespace(machines=machines, is_automatic=True, sets=sets, hosts=frozenset())
        nodes: Any = [SimpleNamespace(machine=name, digest="d") for name in NAMES]
        nothing: Any = None
        await ProofReconciler(nothing, nothing, nothing, namespace="")._inspect(KEY, state, nodes)


async def test_a_failed_record_leaves_no_inspection_running_and_affects_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inspections = Inspections(monkeypatch, "m0")
    with pytest.raises(UnavailableError):
        await inspections.inspect()
    assert inspections.running == set()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert inspections.recorded == set(NAMES) - {"m0"}


async def test_a_lost_lease_ends_all_inspections(monkeypatch: pytest.MonkeyPatch) -> None:
    inspections = Inspections(monkeypatch)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(inspections.inspect())
        await inspections.began.wait()
        task.cancel()
    assert inspections.running == set()
    assert inspections.recorded == set()
    assert asyncio.all_tasks() == {asyncio.current_task()}
