"""Copies of registries' pull secrets in a workload cluster, for the duration of a proof."""

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

PULL_SECRET_TYPE = "kubernetes.io/dockerconfigjson"  # noqa: S105 - a type
_KEY = ".dockerconfigjson"
_COMPONENT = "probe-pull-secret"
_SELECTOR = f"{probe.PROBE_LABEL}={_COMPONENT}"
COPY_LIFETIME = timedelta(minutes=10)  # longer than any run, to prevent runs from deleting each other's copies

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class PullSecretSource:
    """The source of pull secrets, and the tenant that requests copies.

    Attributes:
        client: To the management cluster.
        namespace: Trustplane's own namespace, with the Secrets.
        tenant: Namespace of the Cluster.
    """

    client: Client
    namespace: str
    tenant: str


@asynccontextmanager
async def copied_pull_secrets(
    source: PullSecretSource, workload: Client, registries: Sequence[Registry]
) -> AsyncIterator[Mapping[str, str]]:
    """Copy the pull secrets that a cluster may use, for the duration of the block; yield the copies' names by host.

    Registries are left out if their Secret is missing, has another type, or is not allowed: the response to an
    anonymous pull also is a proof.
    """
    async with AsyncExitStack() as stack:
        names: dict[str, str] = {}
        for host, secret in (await _allowed(source, registries)).items():
            data = await _data(source, secret)
            if data:
                names[host] = await stack.enter_async_context(_copy(workload, data))
        yield names


async def sweep_pull_secrets(workload: Client, now: datetime) -> bool:
    """Delete expired copies; return whether others remain."""
    copies = await workload.list(SECRETS, probe.PROBE_NAMESPACE, labels=_SELECTOR)
    expired = [copy for copy in copies if probe.has_expired(copy.metadata.annotations.get(probe.EXPIRES_AT, ""), now)]
    for copy in expired:
        await workload.delete(SECRETS, copy.metadata.name, probe.PROBE_NAMESPACE)
    return len(expired) < len(copies)


async def _allowed(source: PullSecretSource, registries: Sequence[Registry]) -> dict[str, str]:
    """Return the Secrets that a cluster may use, by host; reads current labels, to respect the latest change."""
    with_secret = [registry for registry in registries if registry.spec.pull_secret_ref]
    if not with_secret:
        return {}
    tenant = await source.client.find(NAMESPACES, source.tenant)
    labels = (tenant or {}).get("metadata", {}).get("labels") or {}
    names = {
        registry.spec.host: pull_secret.pull_secret_for(registry, labels, source.namespace) for registry in with_secret
    }
    return {host: name for host, name in names.items() if name}


async def _data(source: PullSecretSource, name: str) -> str:
    secret = await source.client.find(SECRETS, name, source.namespace)
    if secret is None or secret.type != PULL_SECRET_TYPE or _KEY not in secret.data:
        _log.warning(
            "pull secret is missing or has another type, pulling anonymously", secret=f"{source.namespace}/{name}"
        )
        return ""
    return secret.data[_KEY]


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
        _log.warning("cannot delete copy of a pull secret, leaving it to the next run", secret=name, error=str(error))
