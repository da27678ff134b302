import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from trustplane.kube import names, reach
from trustplane.kube.names import Names, Resolver
from trustplane.kube.reach import reach_beside


class NameServers:
    """Those of names that begin with "slow" answer when they are released; the others at once."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.released = threading.Event()

    def getaddrinfo(self, host: str, *_: Any, **__: Any) -> Any:
        self.asked.append(host)
        if host.startswith("slow"):
            self.released.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 0))]


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServers]:
    servers = NameServers()
    monkeypatch.setattr(socket, "getaddrinfo", servers.getaddrinfo)
    monkeypatch.setattr(names, "SECONDS", 0.05)
    yield servers
    servers.released.set()


async def test_a_name_server_that_does_not_answer_is_not_waited_for(servers: NameServers) -> None:
    looked = Names()
    for _ in range(3):
        with pytest.raises(TimeoutError, match="no name server answered"):
            await looked.resolve("slow.test")
    assert servers.asked == ["slow.test"]  # one thread, whoever asks how often
    assert await looked.resolve("fast.test") == ["10.0.0.1"]


async def test_names_that_are_looked_up_at_a_time_are_counted_and_addresses_need_none(servers: NameServers) -> None:
    looked = Names(4)
    for number in range(20):
        with pytest.raises(OSError, match=r"no name server answered|too many names"):
            await looked.resolve(f"slow-{number}.test")
    assert len(looked._running) == 4
    assert await looked.resolve("10.0.0.7") == ["10.0.0.7"]
    assert await looked.resolve("fd00::7") == ["fd00::7"]
    servers.released.set()
    for thread in threading.enumerate():
        if thread.name == "names":
            thread.join(10)
    assert await looked.resolve("fast.test") == ["10.0.0.1"]


@pytest.mark.usefixtures("servers")
async def test_the_loops_own_threads_are_free_whatever_name_servers_do() -> None:
    resolver = Resolver()
    with pytest.raises(OSError, match="no name server answered"):
        await resolver.resolve("slow.test", 6443)
    loop = asyncio.get_running_loop()
    assert getattr(loop, "_default_executor", None) is None
    (found,) = await resolver.resolve("fast.test", 6443)
    assert (found["host"], found["port"], found["family"]) == ("10.0.0.1", 6443, socket.AF_INET)
    assert await resolver.resolve("fast.test", 6443, socket.AF_INET6) == []


async def test_a_name_that_ends_in_an_error_is_one_for_all_who_wait(monkeypatch: Any) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    looked = Names()
    results = await asyncio.gather(*(looked.resolve("a.test") for _ in range(3)), return_exceptions=True)
    assert all(isinstance(one, socket.gaierror) for one in results)


async def test_ones_own_addresses_are_looked_up_now_and_then(servers: NameServers, monkeypatch: Any) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    now = 0.0
    monkeypatch.setattr(reach.time, "monotonic", lambda: now)
    monkeypatch.setattr(reach, "_OWN", reach._Own())
    for _ in range(100):
        assert ("10.0.0.1", 6443) in (await reach_beside("https://own.test:6443")).own
    assert servers.asked == ["own.test"]
    now = 1000.0
    await reach_beside("https://own.test:6443")
    assert servers.asked == ["own.test"] * 2

    def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-3, "Temporary failure")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    now = 2000.0
    assert ("10.0.0.1", 6443) in (await reach_beside("https://own.test:6443")).own
