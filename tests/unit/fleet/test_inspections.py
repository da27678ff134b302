"""Looks at nodes: none of them, and no repair, goes on when the reconcile that began it is over."""

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
from trustplane.trust.entries import EMPTY

KEY = Key("team", "shop")
NAMES = [f"m{number}" for number in range(5)]


class Looks:
    """Looks that are let go one by one; API writes of `failing` machines have no answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *failing: str) -> None:
        self.running: set[str] = set()
        self.recorded: set[str] = set()
        self.began, self.go = asyncio.Event(), asyncio.Event()
        self._failing = failing

        async def private_key(*_: Any) -> str:
            return "key"

        monkeypatch.setattr(controller, "inspect", self._inspect)
        monkeypatch.setattr(inspection, "private_key", private_key)
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

    async def _record(self, _seen: Any, facts: Any, _found: InspectionResult) -> None:
        if facts.machine in self._failing:
            asyncio.get_running_loop().call_later(0.05, self.go.set)
            raise UnavailableError(f"PATCH machines/{facts.machine} had no answer")
        self.recorded.add(facts.machine)

    async def inspect(self) -> None:
        machines = {name: name for name in NAMES}
        sets = SimpleNamespace(in_force=EMPTY, digest=EMPTY.digest)
        seen: Any = SimpleNamespace(machines=machines, is_automatic=True, sets=sets, hosts=frozenset())
        nodes: Any = [SimpleNamespace(machine=name, digest="d") for name in NAMES]
        nothing: Any = None
        await ProofReconciler(nothing, nothing, nothing, namespace="")._inspect(KEY, seen, nodes)


async def test_one_record_that_fails_leaves_no_look_behind_and_spoils_none(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(monkeypatch, "m0")
    with pytest.raises(UnavailableError):
        await looks.inspect()
    assert looks.running == set()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert looks.recorded == set(NAMES) - {"m0"}


async def test_no_look_goes_on_when_the_lease_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(monkeypatch)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(looks.inspect())
        await looks.began.wait()
        task.cancel()
    assert looks.running == set()
    assert looks.recorded == set()
    assert asyncio.all_tasks() == {asyncio.current_task()}
