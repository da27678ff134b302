"""Pull secrets of registries, copied into a workload cluster for the time of a proof and removed again."""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from trustplane.api.meta import Json
from trustplane.api.registry import Registry
from trustplane.errors import TransientError
from trustplane.kube.client import Client
from trustplane.kube.kinds import NAMESPACES, SECRETS
from trustplane.proof import probe, pull_secret
from trustplane.proof.prover import ensure_probe_namespace

PULL_SECRET_TYPE = "kubernetes.io/dockerconfigjson"
_KEY = ".dockerconfigjson"
_COMPONENT = "probe-pull-secret"
_SELECTOR = f"{probe.PROBE_LABEL}={_COMPONENT}"
COPY_LIFETIME = timedelta(minutes=10)  # longer than any run, so that runs do not remove each other's

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class PullSecretSource:
    """Where pull secrets come from, and whose cluster asks for copies.

    Attributes:
        client: To the management cluster.
        namespace: Trustplane's own, which has the Secrets.
        tenant: Namespace of the Cluster.
    """

    client: Client
    namespace: str
    tenant: str


@asynccontextmanager
async def copied_pull_secrets(
    source: PullSecretSource, workload: Client, registries: Sequence[Registry]
) -> AsyncIterator[Mapping[str, str]]:
    """Copy the pull secrets that a cluster may have for the block; yield the copies' names by host.

    A registry whose Secret is absent, of another type, or for others has none: its answer to an anonymous pull is a
    proof, too.
    """
    async with AsyncExitStack() as stack:
        names: dict[str, str] = {}
        for host, secret in (await _allowed(source, registries)).items():
            data = await _data(source, secret)
            if data:
                names[host] = await stack.enter_async_context(_copy(workload, data))
        yield names


async def sweep_pull_secrets(workload: Client, now: datetime) -> bool:
    """Remove copies whose time is over; return whether others are there."""
    found = await workload.list(SECRETS, probe.PROBE_NAMESPACE, labels=_SELECTOR)
    over = [one for one in found if probe.has_expired(one.metadata.annotations.get(probe.EXPIRES_AT, ""), now)]
    for one in over:
        await workload.delete(SECRETS, one.metadata.name, probe.PROBE_NAMESPACE)
    return len(over) < len(found)


async def _allowed(source: PullSecretSource, registries: Sequence[Registry]) -> dict[str, str]:
    """Return the Secrets that a cluster may have, by host; labels are read afresh, so that a change of them counts."""
    with_secret = [one for one in registries if one.spec.pull_secret_ref]
    if not with_secret:
        return {}
    tenant = await source.client.find(NAMESPACES, source.tenant)
    labels = (tenant or {}).get("metadata", {}).get("labels") or {}
    named = {one.spec.host: pull_secret.pull_secret_for(one, labels, source.namespace) for one in with_secret}
    return {host: name for host, name in named.items() if name}


async def _data(source: PullSecretSource, name: str) -> str:
    found = await source.client.find(SECRETS, name, source.namespace)
    if found is None or found.type != PULL_SECRET_TYPE or _KEY not in found.data:
        _log.warning("pull secret is absent, or of another type", secret=f"{source.namespace}/{name}")
        return ""
    return found.data[_KEY]


@asynccontextmanager
async def _copy(workload: Client, data: str) -> AsyncIterator[str]:
    name = f"probe-pull-{secrets.token_hex(6)}"
    expires = (datetime.now(UTC) + COPY_LIFETIME).isoformat(timespec="seconds")
    body: Json = {
        "metadata": {
            "name": name,
            "namespace": probe.PROBE_NAMESPACE,
            "labels": {probe.PROBE_LABEL: _COMPONENT},
            "annotations": {probe.EXPIRES_AT: expires},
        },
        "type": PULL_SECRET_TYPE,
        "data": {_KEY: data},
    }
    await ensure_probe_namespace(workload)
    await workload.create(SECRETS, body)
    try:
        yield name
    finally:
        await _delete(workload, name)


async def _delete(workload: Client, name: str) -> None:
    try:
        await workload.delete(SECRETS, name, probe.PROBE_NAMESPACE)
    except TransientError as error:
        _log.warning("copy of a pull secret is left to the next run", secret=name, error=str(error))
