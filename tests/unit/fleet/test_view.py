"""A look at a cluster whose tenant has filled the annotations of every Machine."""

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
from trustplane.trust.recorded import MAX_ITEMS, MAX_TEXT

BAD, GOOD = Key(NAMESPACE, "bad"), Key(NAMESPACE, "good")
MACHINES = 20
WORDS = "x509: a=b? http://u:p@h/ "  # something for every pattern


def filled(size: int = MAX_TEXT - 200, items: int = MAX_ITEMS) -> dict[str, str]:
    """Return annotations of a size, each text of which has to be cleaned."""
    words = (WORDS * 100)[: size // items // 4 - 12]
    result = {"registry": words, "verdict": "Trusted", "reason": words, "message": words}
    access = {"registry": words, "reason": words, "message": words, "proxy": words}
    head = {"digest": DIGEST, "at": datetime.now(UTC).isoformat()}
    return {
        TRUST_PROOF: json.dumps({**head, "results": [result] * items}),
        TRUST_INSPECTION: json.dumps({**head, "registries": [access] * items}),
    }


def fleet(values: dict[str, str]) -> Fleet:
    found = Fleet("bad", "good")
    for number in range(MACHINES):
        found.machine("bad", number, values)
    return found


@pytest.mark.parametrize("values", [filled(), filled(250_000, 1000)])
async def test_others_are_seen_between_any_two_machines_of_a_cluster(
    values: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, turns, steps = fleet(values), 0, list[float]()

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

    monkeypatch.setattr(node_facts, "facts", counted)
    turning = asyncio.create_task(turn())
    looking = asyncio.create_task(found.view.observe(BAD))
    await asyncio.sleep(0)
    good = await found.view.observe(GOOD)
    assert good
    assert not looking.done()  # the other cluster did not wait for all of this one
    seen = await looking
    turning.cancel()
    assert seen
    assert len(seen.nodes) == MACHINES
    of_good = 2
    assert max(read.count(one) for one in read) <= of_good  # in one turn: a Machine of each look
    assert max(steps) < 0.3  # seconds of CPU
    read.clear()
    await found.view.observe(BAD)
    assert read == []


async def test_what_changes_during_a_look_is_seen_by_the_next_and_nothing_of_it_is_kept() -> None:
    found = fleet(filled())
    looking = asyncio.create_task(found.view.observe(BAD))
    await asyncio.sleep(0)
    last, gone = Key(NAMESPACE, "bad-9"), found.view.machines.get(Key(NAMESPACE, "bad-8"))
    assert gone
    found.view.machines._store(Change(Key(NAMESPACE, "bad-8"), gone, None))
    found.machine("bad", 9)
    seen = await looking
    assert seen
    assert len(seen.nodes) == MACHINES
    known = found.view._facts._known
    assert Key(NAMESPACE, "bad-8") not in known
    again = await found.view.observe(BAD)
    assert again
    assert len(again.nodes) == MACHINES - 1
    assert known[last].machine is found.view.machines.get(last)
    assert next(one for one in again.nodes if one.machine == "bad-9").proof


async def test_a_record_is_read_once_for_all_that_is_said_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = fleet({TRUST_PROOF: "no record"})
    read: list[str] = []

    def counted(machine: Any, *arguments: Any, **named: Any) -> Any:
        read.append(machine.metadata.name)
        return machine_facts.node_facts(machine, *arguments, **named)

    monkeypatch.setattr(node_facts, "facts", counted)
    trusts = ClusterTrustReconciler(found.server, found.view, found.recorder)  # type: ignore[arg-type]
    await trusts.reconcile(BAD)
    [status] = found.statuses()
    proven = next(one for one in status["conditions"] if one["type"] == "Proven")
    assert "annotation trustplane.dev/trust-proof of Machine bad-0" in proven["message"]
    assert len(read) == len(set(read)) == MACHINES
