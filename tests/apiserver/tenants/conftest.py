"""One stage for all attacks of this folder: see `stage`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.apiserver.conftest import ApiServer
from tests.apiserver.conftest import prepared as prepared_apiserver
from tests.apiserver.controllers import deployment
from tests.apiserver.controllers.conftest import cluster_api_crds, install
from tests.apiserver.tenants import servers
from tests.apiserver.tenants.stage import TENANTS, Stage, prepared

from trustplane.api.crds import crds


@pytest.fixture(scope="session")
def tenants_apiserver(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A separate API server: attacks must not affect that of other tests."""
    folder = tmp_path_factory.mktemp("tenants")
    with prepared_apiserver(binaries, folder) as apiserver:
        with (folder / "tokens.csv").open("a") as file:
            file.writelines(f"{token},{name},{name}\n" for name, token in TENANTS.items())
        apiserver.start()
        definitions = [*crds(), *cluster_api_crds(binaries.parent / "manifests")]
        asyncio.run(install(apiserver.kubeconfig, definitions))
        asyncio.run(deployment.install_roles(apiserver.kubeconfig))
        yield apiserver


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_stage(tenants_apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with prepared(tenants_apiserver, tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="session")
async def stage(shared_stage: Stage) -> AsyncIterator[Stage]:
    """The stage, restored after the previous attack; after the test, the victims' clusters must work."""
    async with attacked(shared_stage, every=1):
        yield shared_stage


@pytest_asyncio.fixture(loop_scope="session")
async def quick_stage(shared_stage: Stage) -> AsyncIterator[Stage]:
    """The same for small attacks. The manager must lead after each, the victims' clusters work after every fifth."""
    async with attacked(shared_stage, every=5):
        yield shared_stage


@contextlib.asynccontextmanager
async def attacked(stage: Stage, *, every: int) -> AsyncIterator[None]:
    """Restore everything before an attack; check and clean up after it."""
    stage.heal()
    rounds = stage.round
    yield
    try:
        await stage.assert_manager_leads()
        stage.attacks += 1
        if stage.attacks % every == 0 and stage.round == rounds:  # not during an attack
            await stage.assert_others_go_on()
    finally:
        await stage.clean()


@pytest_asyncio.fixture(loop_scope="session")
async def rights(shared_stage: Stage) -> Stage:
    """The stage, for tests without changes."""
    return shared_stage


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the attacker's certificates."""
    return servers.certificates(tmp_path_factory.mktemp("attacker"))
