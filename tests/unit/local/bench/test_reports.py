"""Reports come from watches: a wait ends with the expected change, or lists what is missing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from trustplane.api.keys import Key
from trustplane.errors import TransientError
from trustplane.kube.client import Page, WatchEvent
from trustplane_local.bench.progress import WORKERS, Stopwatch
from trustplane_local.bench.reports import Reports

REQUESTED = datetime(2026, 1, 2, tzinfo=UTC)
KEY = Key("default", "shop")
DIGEST = "b" * 64
Json = dict[str, Any]


def metadata(name: str, **more: Any) -> Json:
    return {"name": name, "namespace": KEY.namespace, "uid": f"uid-{name}", "resourceVersion": "1", **more}


def trust(*pending: str) -> Json:
    nodes = [{"machine": name, "state": "Pending", "message": "it is next"} for name in pending]
    status = {"inForce": {"digest": DIGEST}, "summary": {"total": 1}, "nodes": nodes}
    return {"metadata": metadata(KEY.name), "status": status}


class Server:
    """An API server in memory, with initial objects and changes."""

    most_kept = None

    def __init__(self) -> None:
        handled = {"trustplane.dev/trust-digest": DIGEST, "trustplane.dev/update-handled-at": REQUESTED.isoformat()}
        self.objects: dict[str, Json] = {
            "clusters": {"metadata": metadata(KEY.name, annotations=handled)},
            "machines": {"metadata": metadata("worker")},
            "clustertrusts": trust("worker"),
        }
        self._changes: dict[str, asyncio.Queue[Json]] = {}

    def change(self, plural: str, changed: Json) -> None:
        self._changes.setdefault(plural, asyncio.Queue()).put_nowait(changed)

    async def pages(self, resource: Any, _namespace: str = "", **_: Any) -> AsyncIterator[Page]:
        yield Page([msgspec.Raw(msgspec.json.encode(self.objects[resource.plural]))], "1")

    async def watch(self, resource: Any, _namespace: str, **_: Any) -> AsyncIterator[WatchEvent]:
        changes = self._changes.setdefault(resource.plural, asyncio.Queue())
        while True:
            yield WatchEvent("MODIFIED", msgspec.Raw(msgspec.json.encode(await changes.get())))


async def test_the_expected_change_ends_a_wait() -> None:
    server: Any = Server()
    async with asyncio.timeout(30), Reports(server, KEY).follow() as reports:
        watch = Stopwatch(0.0, REQUESTED, {WORKERS: 1})
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(reports.time(watch, seconds=20))
            server.change("clustertrusts", trust())
        assert waiting.result().keys() == {WORKERS}


async def test_a_failed_wait_names_missing_machines_and_messages() -> None:
    server: Any = Server()
    async with asyncio.timeout(30), Reports(server, KEY).follow() as reports:
        with pytest.raises(TransientError, match="worker Pending: it is next"):
            await reports.time(Stopwatch(0.0, REQUESTED, {WORKERS: 1}), seconds=0)


async def test_a_machine_that_is_being_deleted_is_ignored() -> None:
    server: Any = Server()
    server.objects["machines"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    async with asyncio.timeout(30), Reports(server, KEY).follow() as reports:
        assert reports.snapshot.machines == ()
