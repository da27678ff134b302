import asyncio
from typing import Any

from trustplane.api.keys import Key
from trustplane.kube.controller import Result, Watch
from trustplane.kube.reconciler import Reconciler


class Recording(Reconciler):
    name = "recording"
    workers = 1

    def __init__(self) -> None:
        self.keys: list[Key] = []
        self.reconciled = asyncio.Event()
        self.is_closed = False

    def _watches(self) -> list[Watch[Any]]:
        return []

    async def reconcile(self, key: Key) -> Result:
        self.keys.append(key)
        self.reconciled.set()
        return Result()

    async def close(self) -> None:
        self.is_closed = True


async def test_a_reconciler_runs_as_one_controller_and_is_closed_at_its_end() -> None:
    reconciler, key, stop = Recording(), Key("team", "shop"), asyncio.Event()
    reconciler.wake(key)
    controller = reconciler.controller()
    assert controller is reconciler.controller()
    async with asyncio.TaskGroup() as group:
        group.create_task(controller.run(stop))
        await reconciler.reconciled.wait()
        stop.set()
    assert (reconciler.keys, reconciler.is_closed) == ([key], True)
