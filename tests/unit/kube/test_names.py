import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from trustplane.kube import names, reach
from trustplane.kube.names import NameLookup, TenantResolver
from trustplane.kube.reach import reach_beside


class NameServers:
    """Answers names beginning with "slow" only after the release; all others immediately."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self.released = threading.Event()

    def getaddrinfo(self, host: str, *_: Any, **__: Any) -> Any:
        self.queries.append(host)
        if host.startswith("slow"):
            self.released.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 0))]


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServers]:
    servers = NameServers()
    monkeypatch.setattr(socket, "getaddrinfo", servers.getaddrinfo)
    monkeypatch.setattr(names, "LOOKUP_SECONDS", 0.05)
    yield servers
    servers.released.set()


async def test_an_unresponsive_name_server_does_not_block(servers: NameServers) -> None:
    lookup = NameLookup()
    for _ in range(3):
        with pytest.raises(TimeoutError, match="no name server answered"):
            await lookup.resolve("slow.test")
    assert servers.queries == ["slow.test"]  # one thread for all lookups of the name
    assert await lookup.resolve("fast.test") == ["10.0.0.1"]


async def test_concurrent_lookups_are_limited_and_addresses_need_none(servers: NameServers) -> None:
    lookup = NameLookup(4)
    for number in range(20):
        with pytest.raises(OSError, match=r"no name server answered|too many lookups"):
            await lookup.resolve(f"slow-{number}.test")
    assert len(lookup._running) == 4
    assert await lookup.resolve("10.0.0.7") == ["10.0.0.7"]
    assert await lookup.resolve("fd00::7") == ["fd00::7"]
    servers.released.set()
    for thread in threading.enumerate():
        if thread.name == "names":
            thread.join(10)
    assert await lookup.resolve("fast.test") == ["10.0.0.1"]


@pytest.mark.usefixtures("servers")
async def test_lookups_do_not_use_the_event_loops_threads() -> None:
    resolver = TenantResolver()
    with pytest.raises(OSError, match="no name server answered"):
        await resolver.resolve("slow.test", 6443)
    loop = asyncio.get_running_loop()
    assert getattr(loop, "_default_executor", None) is None
    (result,) = await resolver.resolve("fast.test", 6443)
    assert (result["host"], result["port"], result["family"]) == ("10.0.0.1", 6443, socket.AF_INET)
    assert await resolver.resolve("fast.test", 6443, socket.AF_INET6) == []


async def test_all_waiters_get_the_error_of_a_lookup(monkeypatch: Any) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    lookup = NameLookup()
    results = await asyncio.gather(*(lookup.resolve("a.test") for _ in range(3)), return_exceptions=True)
    assert all(isinstance(result, socket.gaierror) for result in results)


async def test_the_management_clusters_addresses_are_cached(servers: NameServers, monkeypatch: Any) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    now = 0.0
    monkeypatch.setattr(reach.time, "monotonic", lambda: now)
    monkeypatch.setattr(reach, "_OWN", reach._Own())
    for _ in range(100):
        assert ("10.0.0.1", 6443) in (await reach_beside("https://own.test:6443")).own
    assert servers.queries == ["own.test"]
    now = 1000.0
    await reach_beside("https://own.test:6443")
    assert servers.queries == ["own.test"] * 2

    def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-3, "Temporary failure")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    now = 2000.0
    assert ("10.0.0.1", 6443) in (await reach_beside("https://own.test:6443")).own
