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
from trustplane.kube.budget import KEPT, STRANGERS, SURE, Share, Total
from trustplane.kube.client import Client
from trustplane.kube.errors import OversizedError
from trustplane.kube.informer import Informer
from trustplane.kube.kinds import CONFIG_MAPS, PODS


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 2 * KEPT))), st.integers(0, 64 << 20))
def test_all_together_hold_no_more_than_allowed_beyond_what_is_sure_to_each(
    asked: list[tuple[int, int]], most: int
) -> None:
    total = Total(most)
    shares = [Share(KEPT, total) for _ in range(21)]
    for number, size in asked:
        before = shares[number].held
        expected = size if shares[number].hold(size) else before
        assert shares[number].held == expected
        assert max(share.held for share in shares) <= KEPT
        assert sum(share.held for share in shares) <= most + len(shares) * SURE
    for share in shares:
        assert share.hold(SURE)
        share.close()
    assert total.used == 0


def test_whatever_others_hold_a_part_is_sure() -> None:
    total = Total(8 << 20)
    greedy = [Share(KEPT, total) for _ in range(16)]
    for share in greedy:
        while share.hold(share.held + 1000):
            pass
    honest = Share(KEPT, total)
    assert honest.hold(SURE)
    assert not honest.hold(SURE + 1000)
    greedy[0].close()
    assert honest.hold(SURE + 1000)


def page(count: int) -> bytes:
    items = [{"metadata": {"name": f"a{n}"}, "data": {"a": "x" * (1 << 20)}} for n in range(count)]
    body = json.dumps({"metadata": {"resourceVersion": "1"}, "items": items}).encode()
    return head("200 OK", Content_Length=len(body)) + body


@pytest.fixture(autouse=True)
def nothing_is_left() -> Any:
    yield
    assert STRANGERS.used == 0


async def test_eight_clusters_keep_no_more_than_what_all_may(monkeypatch: Any) -> None:
    monkeypatch.setattr(STRANGERS, "most", 20 << 20)
    async with serving(always(page(7))) as server, Client.open(kubeconfig(server)) as client:
        client.most_kept = KEPT
        informers = [Informer(client, CONFIG_MAPS) for _ in range(8)]
        async with asyncio.timeout(60):
            tasks = []
            for informer in informers:
                tasks.append(asyncio.create_task(informer.run()))
                await asyncio.wait([asyncio.create_task(informer.synced.wait())], timeout=2)
        kept = sum(len(informer.items()) for informer in informers)
        assert 7 <= kept <= 28
        assert len(informers[0].items()) == 7
        assert STRANGERS.used <= 21 << 20
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_where_there_is_no_room_pages_are_smaller_and_a_list_is_that_clusters_error(monkeypatch: Any) -> None:
    monkeypatch.setattr(STRANGERS, "most", 0)
    seen: list[str] = []
    async with serving(always(page(2)), seen) as server, Client.open(kubeconfig(server)) as client:
        client.most_kept = KEPT
        with pytest.raises(OversizedError, match="more than there is room for"):
            await client.list(CONFIG_MAPS)
        assert [line.partition("limit=")[2].partition(" ")[0] for line in seen] == ["500", "62", "7", "1"]
        client.most_kept = 1 << 30  # a command has a process of its own
        assert len(await client.list(CONFIG_MAPS)) == 2
        client.most_kept = None
        assert len(await client.list(CONFIG_MAPS)) == 2


async def test_half_a_line_of_a_watch_is_counted(monkeypatch: Any) -> None:
    monkeypatch.setattr(STRANGERS, "most", 0)
    line = b'{"type":"ADDED","object":{"x":"' + b"0" * (2 << 20)
    answer = flood(head("200 OK") + line, lambda: iter(()))
    async with serving(answer) as server, Client.open(kubeconfig(server)) as client:
        client.most_kept = KEPT
        with pytest.raises(OversizedError, match="room"):
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
    assert int(done.stdout) < 640  # MiB; what servers write, which is here in the same process, is counted too


def _limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))


def test_five_thousand_failing_pods_of_a_cluster_are_kept() -> None:
    import msgspec  # noqa: PLC0415
    from tests.bench.watch import pod, status  # noqa: PLC0415

    from trustplane.controllers.resources import WORKLOAD_PODS  # noqa: PLC0415
    from trustplane.kube.informer import _Budget  # noqa: PLC0415
    from trustplane.kube.resource import Key  # noqa: PLC0415

    kept = _Budget(KEPT)
    item = msgspec.Raw(json.dumps({**pod(9999), **status(9999, backs_off=True)}).encode())
    for number in range(5000):
        assert kept.take(Key("shop", f"web-{number}"), item, WORKLOAD_PODS.decode(item))
    kept.close()
    assert budget.STRANGERS.used == 0
