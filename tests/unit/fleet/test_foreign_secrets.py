import asyncio

import pytest
from tests.unit.controllers.fleet import Server

from trustplane.api.core import Secret
from trustplane.api.keys import Key
from trustplane.fleet import foreign_secrets
from trustplane.fleet.foreign_secrets import CACHE_SECONDS, UserSecretCache


class Clock:
    now = 0.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: fake)
    return fake


@pytest.mark.parametrize("exists", [True, False])
async def test_a_burst_reads_once_and_an_old_secret_is_read_again(clock: Clock, *, exists: bool) -> None:
    server = Server({"a": Secret(data={"x": "y"})} if exists else {})
    secrets = UserSecretCache(server)  # type: ignore[arg-type]
    key = Key("shop", "a")
    for _ in range(5):
        assert (await secrets.find(key, 1) is not None) == exists
    assert len(server.asked) == 1
    await secrets.find(key, 2)  # the Cluster changed
    assert len(server.asked) == 2
    clock.now += CACHE_SECONDS
    await secrets.find(key, 2)
    assert len(server.asked) == 3


async def test_the_cache_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_secrets, "_MOST", 100)
    server = Server({str(number): Secret(data={"x": "y" * 40}) for number in range(10)})
    secrets = UserSecretCache(server)  # type: ignore[arg-type]
    for number in range(10):
        await secrets.find(Key("shop", str(number)), 1)
    assert len(secrets._kept) <= 2
    clock.now += 2 * CACHE_SECONDS
    await secrets.find(Key("shop", "none"), 1)
    assert list(secrets._kept) == [Key("shop", "none")]
