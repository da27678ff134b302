"""Attacks by the API server, registry or nodes of a tenant's cluster: no response affects other clusters."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.apiserver.tenants import servers
from tests.apiserver.tenants.servers import Answer
from tests.apiserver.tenants.stage import Stage, kubeconfig

pytestmark = pytest.mark.asyncio(loop_scope="session")

SLASHES = "\\" * 32_000


def _pod(name: str, message: str) -> bytes:
    waiting = {"reason": "ErrImagePull", "message": message}
    status = {"containerStatuses": [{"name": "c", "image": "r.test/x:1", "state": {"waiting": waiting}}]}
    metadata = {"name": name, "namespace": "n", "uid": name}
    return json.dumps({"metadata": metadata, "spec": {"nodeName": "n"}, "status": status}).encode()


def _many() -> Answer:
    return servers.pods(*(_pod(f"p{n}", f'Failed to pull image "r{n}.test/x:1": not found') for n in range(20_000)))


ANSWERS: dict[str, Answer] = {
    "600-mb-in-600-kb": servers.bomb(),
    "a-list-without-end": servers.endless,
    "one-character-at-a-time": servers.drip,
    "headers-without-end": servers.headers_without_end,
    "silence": servers.silence,
    "a-line-of-a-watch-without-end": servers.line_without_end,
    "pages-without-end": servers.pages_without_end,
    "json-100000-deep": servers.deep,
    "statuses-of-backslashes": servers.pods(*(_pod(f"p{n}", SLASHES) for n in range(20))),
    "statuses-sent-on": servers.pods(*(_pod(f"p{n}", "failed to do request: " * 5000) for n in range(8))),
    "20000-failing-pods": _many(),
}


@pytest.mark.parametrize("attack", ANSWERS)
async def test_a_hostile_api_server_harms_no_other_cluster(stage: Stage, keys: Path, attack: str) -> None:
    async with servers.serving(keys, ANSWERS[attack]) as own:
        name = f"a{list(ANSWERS).index(attack)}"
        await stage.cluster(name, port=own.port)
        await stage.kubeconfig(name, kubeconfig(own))
        await own.heard.until(bool)
        # During the attack: other clusters work, and the manager's memory is limited.
        await stage.assert_others_go_on()
        await asyncio.sleep(2)
        stage.assert_manager_lives()


async def test_ten_silent_clusters_delay_no_other(stage: Stage, keys: Path) -> None:
    async with AsyncExitStack() as stack:
        for n in range(10):
            own = await stack.enter_async_context(servers.serving(keys, servers.silence))
            await stage.cluster(f"s{n}", port=own.port)
            await stage.kubeconfig(f"s{n}", kubeconfig(own))
        await asyncio.sleep(3)
        await stage.assert_others_go_on()
