import asyncio
import json
import resource
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.kube.servers import always, flood, head, kubeconfig, serving

from trustplane.kube import budget
from trustplane.kube.budget import GUARANTEED, MAX_KEPT, TENANTS, Share, Total
from trustplane.kube.client import Client
from trustplane.kube.errors import OversizedError
from trustplane.kube.informer import Informer
from trustplane.kube.kinds import CONFIG_MAPS, PODS


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 2 * MAX_KEPT))), st.integers(0, 64 << 20))
def test_shares_never_exceed_the_total_plus_their_guarantees(requests: list[tuple[int, int]], most: int) -> None:
    total = Total(most)
    shares = [Share(MAX_KEPT, total) for _ in range(21)]
    for number, size in requests:
        before = shares[number].held
        expected = size if shares[number].hold(size) else before
        assert shares[number].held == expected
        assert max(share.held for share in shares) <= MAX_KEPT
        assert sum(share.held for share in shares) <= most + len(shares) * GUARANTEED
    for share in shares:
        assert share.hold(GUARANTEED)
        share.close()
    assert total.used == 0


def test_every_share_has_a_guaranteed_part() -> None:
    total = Total(8 << 20)
    greedy = [Share(MAX_KEPT, total) for _ in range(16)]
    for share in greedy:
        while share.hold(share.held + 1000):
            pass
    honest = Share(MAX_KEPT, total)
    assert honest.hold(GUARANTEED)
    assert not honest.hold(GUARANTEED + 1000)
    greedy[0].close()
    assert honest.hold(GUARANTEED + 1000)


def page(count: int) -> bytes:
    items = [{"metadata": {"name": f"a{n}"}, "data": {"a": "x" * (1 << 20)}} for n in range(count)]
    body = json.dumps({"metadata": {"resourceVersion": "1"}, "items": items}).encode()
    return head("200 OK", Content_Length=len(body)) + body


@pytest.fixture(autouse=True)
def all_shares_are_released() -> Any:
    yield
    assert TENANTS.used == 0


async def test_eight_clusters_stay_within_the_total(monkeypatch: Any) -> None:
    monkeypatch.setattr(TENANTS, "most", 20 << 20)
    async with serving(always(page(7))) as server, Client.open(kubeconfig(server)) as client:
        client.most_kept = MAX_KEPT
        informers = [Informer(client, CONFIG_MAPS) for _ in range(8)]
        async with asyncio.timeout(60):
            tasks = []
            for informer in informers:
                tasks.append(asyncio.create_task(informer.run()))
                await asyncio.wait([asyncio.create_task(informer.synced.wait())], timeout=2)
        kept = sum(len(informer.items()) for informer in informers)
        assert 7 <= kept <= 28
        assert len(informers[0].items()) == 7
        assert TENANTS.used <= 21 << 20
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_without_budget_pages_shrink_and_then_the_list_fails(monkeypatch: Any) -> None:
    monkeypatch.setattr(TENANTS, "most", 0)
    requests: list[str] = []
    async with serving(always(page(2)), requests) as server, Client.open(kubeconfig(server)) as client:
        client.most_kept = MAX_KEPT
        with pytest.raises(OversizedError, match="does not fit into memory"):
            await client.list(CONFIG_MAPS)
        assert [line.partition("limit=")[2].partition(" ")[0] for line in requests] == ["500", "62", "7", "1"]
        client.most_kept = 1 << 30  # as for a command in a separate process
        assert len(await client.list(CONFIG_MAPS)) == 2
        client.most_kept = None
        assert len(await client.list(CONFIG_MAPS)) == 2


async def test_an_incomplete_line_of_a_watch_counts(monkeypatch: Any) -> None:
    monkeypatch.setattr(TENANTS, "most", 0)
    line = b'{"type":"ADDED","object":{"x":"' + b"0" * (2 << 20)
    answer = flood(head("200 OK") + line, lambda: iter(()))
    async with serving(answer) as server, Client.open(kubeconfig(server)) as client:
        client.most_kept = MAX_KEPT
        with pytest.raises(OversizedError, match="does not fit"):
            await anext(client.watch(PODS, version="1"))


HOSTILE = """
import asyncio, json
from tests.memory import peak
from tests.unit.kube.servers import always, head, kubeconfig, serving
from trustplane.kube.client import Client
from trustplane.kube.errors import ApiError
from trustplane.kube.kinds import PODS
from trustplane.kube.transport import STRANGERS_KEPT

item = {"metadata": {"name": "a"}, "x": "y" * (1 << 20)}
body = json.dumps({"metadata": {"continue": "x"}, "items": [item] * 7}).encode()

async def listed(server):
    async with Client.open(kubeconfig(server), timeout=60) as client:
        client.most_kept = STRANGERS_KEPT
        try:
            await asyncio.gather(*(client.list(PODS) for _ in range(4)))
        except ApiError:
            pass

async def main():
    async with serving(always(head("200 OK", Content_Length=len(body)) + body)) as server:
        before = peak()
        await asyncio.gather(*(listed(server) for _ in range(8)))
        print(peak() - before)

asyncio.run(main())
"""


def test_eight_clusters_with_four_lists_each_stay_within_memory() -> None:
    command = [sys.executable, "-c", HOSTILE]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100, preexec_fn=_limit)
    assert int(done.stdout) < 640  # MiB, including the buffers of the servers in the same process


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))


def test_five_thousand_failing_pods_of_a_cluster_are_kept() -> None:
    import msgspec  # noqa: PLC0415
    from tests.bench.watch import pod, status  # noqa: PLC0415

    from trustplane.controllers.resources import WORKLOAD_PODS  # noqa: PLC0415
    from trustplane.kube.informer import _Budget  # noqa: PLC0415
    from trustplane.kube.resource import Key  # noqa: PLC0415

    kept = _Budget(MAX_KEPT)
    item = msgspec.Raw(json.dumps({**pod(9999), **status(9999, backs_off=True)}).encode())
    for number in range(5000):
        assert kept.reserve(Key("shop", f"web-{number}"), item, WORKLOAD_PODS.decode(item))
    kept.close()
    assert budget.TENANTS.used == 0
