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
    found = Clock()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: found)
    return found


@pytest.mark.parametrize("there", [True, False])
async def test_a_burst_asks_once_and_what_is_old_is_read_anew(clock: Clock, *, there: bool) -> None:
    server = Server({"a": Secret(data={"x": "y"})} if there else {})
    secrets = UserSecretCache(server)  # type: ignore[arg-type]
    key = Key("shop", "a")
    for _ in range(5):
        assert (await secrets.find(key, 1) is not None) == there
    assert len(server.asked) == 1
    await secrets.find(key, 2)  # the Cluster asks for something else
    assert len(server.asked) == 2
    clock.now += CACHE_SECONDS
    await secrets.find(key, 2)
    assert len(server.asked) == 3


async def test_what_is_kept_is_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_secrets, "_MOST", 100)
    server = Server({str(one): Secret(data={"x": "y" * 40}) for one in range(10)})
    secrets = UserSecretCache(server)  # type: ignore[arg-type]
    for one in range(10):
        await secrets.find(Key("shop", str(one)), 1)
    assert len(secrets._kept) <= 2
    clock.now += 2 * CACHE_SECONDS
    await secrets.find(Key("shop", "none"), 1)
    assert list(secrets._kept) == [Key("shop", "none")]
