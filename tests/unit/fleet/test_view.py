"""Observing a cluster whose tenant filled the annotations of every Machine."""

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.unit.controllers.fleet import NAMESPACE, Fleet
from tests.unit.trust.hostile import DIGEST

from trustplane.api.clustertrust import TRUST_INSPECTION, TRUST_PROOF
from trustplane.api.keys import Key
from trustplane.clusterapi import machine_facts
from trustplane.controllers.cluster_trust.controller import ClusterTrustReconciler
from trustplane.fleet import node_facts
from trustplane.kube.informer import Change
from trustplane.trust.recorded import MAX_RECORD_ITEMS, MAX_RECORD_LENGTH

BAD, GOOD = Key(NAMESPACE, "bad"), Key(NAMESPACE, "good")
MACHINES = 20
TEXT = "x509: a=b? http://u:p@h/ "  # matches every pattern


def filled(size: int = MAX_RECORD_LENGTH - 200, items: int = MAX_RECORD_ITEMS) -> dict[str, str]:
    """Return annotations of a given size, in which every text must be cleaned."""
    text = (TEXT * 100)[: size // items // 4 - 12]
    result = {"registry": text, "verdict": "Trusted", "reason": text, "message": text}
    access = {"registry": text, "reason": text, "message": text, "proxy": text}
    head = {"digest": DIGEST, "at": datetime.now(UTC).isoformat()}
    return {
        TRUST_PROOF: json.dumps({**head, "results": [result] * items}),
        TRUST_INSPECTION: json.dumps({**head, "registries": [access] * items}),
    }


def fleet(values: dict[str, str]) -> Fleet:
    result = Fleet("bad", "good")
    for number in range(MACHINES):
        result.machine("bad", number, values)
    return result


@pytest.mark.parametrize("values", [filled(), filled(250_000, 1000)])
async def test_other_clusters_are_observed_between_any_two_machines(
    values: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, turns, steps = fleet(values), 0, list[float]()

    async def turn() -> None:
        nonlocal turns
        before = time.process_time()
        while True:
            await asyncio.sleep(0)
            turns += 1
            steps.append(time.process_time() - before)
            before = time.process_time()

    read: list[int] = []

    def counted(*arguments: Any, **named: Any) -> Any:
        read.append(turns)
        return machine_facts.node_facts(*arguments, **named)

    monkeypatch.setattr(node_facts, "node_facts", counted)
    turning = asyncio.create_task(turn())
    observing = asyncio.create_task(world.view.observe(BAD))
    await asyncio.sleep(0)
    good = await world.view.observe(GOOD)
    assert good
    assert not observing.done()  # the other cluster did not wait for the whole first one
    state = await observing
    turning.cancel()
    assert state
    assert len(state.nodes) == MACHINES
    of_good = 2
    assert max(read.count(number) for number in read) <= of_good  # per turn, one Machine of each cluster
    assert max(steps) < 0.3  # seconds of CPU
    read.clear()
    await world.view.observe(BAD)
    assert read == []


async def test_changes_during_an_observation_appear_in_the_next_and_are_not_cached() -> None:
    world = fleet(filled())
    observing = asyncio.create_task(world.view.observe(BAD))
    await asyncio.sleep(0)
    last, gone = Key(NAMESPACE, "bad-9"), world.view.machines.get(Key(NAMESPACE, "bad-8"))
    assert gone
    world.view.machines._store(Change(Key(NAMESPACE, "bad-8"), gone, None))
    world.machine("bad", 9)
    state = await observing
    assert state
    assert len(state.nodes) == MACHINES
    known = world.view._facts._known
    assert Key(NAMESPACE, "bad-8") not in known
    again = await world.view.observe(BAD)
    assert again
    assert len(again.nodes) == MACHINES - 1
    assert known[last].machine is world.view.machines.get(last)
    assert next(node for node in again.nodes if node.machine == "bad-9").proof


async def test_a_record_is_parsed_once_per_reconcile(monkeypatch: pytest.MonkeyPatch) -> None:
    world = fleet({TRUST_PROOF: "no record"})
    read: list[str] = []

    def counted(machine: Any, *arguments: Any, **named: Any) -> Any:
        read.append(machine.metadata.name)
        return machine_facts.node_facts(machine, *arguments, **named)

    monkeypatch.setattr(node_facts, "node_facts", counted)
    trusts = ClusterTrustReconciler(world.server, world.view, world.recorder)  # type: ignore[arg-type]
    await trusts.reconcile(BAD)
    [status] = world.statuses()
    proven = next(condition for condition in status["conditions"] if condition["type"] == "Proven")
    assert "annotation trustplane.dev/trust-proof of Machine bad-0" in proven["message"]
    assert len(read) == len(set(read)) == MACHINES
