"""Pull secrets of registries, copied into a workload cluster for the time of a proof and removed again."""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import structlog

from trustplane.api.meta import Json
from trustplane.api.registry import Registry
from trustplane.controllers.resources import SECRETS
from trustplane.errors import TransientError
from trustplane.kube.client import Client
from trustplane.proof import probe
from trustplane.proof.prover import prepare

TYPE = "kubernetes.io/dockerconfigjson"
_KEY = ".dockerconfigjson"
_COMPONENT = "probe-pull-secret"
_SELECTOR = f"{probe.COMPONENT_LABEL}={_COMPONENT}"
_LIFE = timedelta(minutes=15)  # longer than any run, so that runs do not remove each other's

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def copied(
    management: Client, workload: Client, registries: Sequence[Registry]
) -> AsyncIterator[Mapping[str, str]]:
    """Copy the pull secrets of registries for the block; yield the copies' names by host.

    A registry whose Secret is absent, or of another type, has none: its answer to an anonymous pull is a proof, too.
    """
    await _sweep(workload)
    async with AsyncExitStack() as stack:
        names: dict[str, str] = {}
        for one in registries:
            data = await _data(management, one)
            if data:
                names[one.spec.host] = await stack.enter_async_context(_copy(workload, data))
        yield names


async def _data(management: Client, registry: Registry) -> str:
    reference = registry.spec.pull_secret_ref
    if reference is None:
        return ""
    found = await management.find(SECRETS, reference.name, reference.namespace)
    if found is None or found.type != TYPE or _KEY not in found.data:
        where = f"{reference.namespace}/{reference.name}"
        _log.warning("pull secret is absent, or of another type", registry=registry.metadata.name, secret=where)
        return ""
    return found.data[_KEY]


@asynccontextmanager
async def _copy(workload: Client, data: str) -> AsyncIterator[str]:
    name = f"probe-pull-{secrets.token_hex(6)}"
    expires = (datetime.now(UTC) + _LIFE).isoformat(timespec="seconds")
    body: Json = {
        "metadata": {
            "name": name,
            "namespace": probe.NAMESPACE,
            "labels": {probe.COMPONENT_LABEL: _COMPONENT},
            "annotations": {probe.EXPIRES_AT: expires},
        },
        "type": TYPE,
        "data": {_KEY: data},
    }
    await prepare(workload)
    await workload.create(SECRETS, body)
    try:
        yield name
    finally:
        await _delete(workload, name)


async def _delete(workload: Client, name: str) -> None:
    try:
        await workload.delete(SECRETS, name, probe.NAMESPACE)
    except TransientError as error:
        _log.warning("copy of a pull secret is left to the next run", secret=name, error=str(error))


async def _sweep(workload: Client) -> None:
    now = datetime.now(UTC)
    for one in await workload.list(SECRETS, probe.NAMESPACE, labels=_SELECTOR):
        if probe.has_expired({"metadata": {"annotations": one.metadata.annotations}}, now):
            await _delete(workload, one.metadata.name)
