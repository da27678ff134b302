"""Leader election among processes, with a Lease of coordination.k8s.io.

The protocol is client-go's, and `kubectl get leases` shows the usual fields: the holder renews; a candidate that sees
the same record for its whole validity, by its own clock, may take over. The holder stops leading before that.
Source: https://kubernetes.io/docs/concepts/architecture/leases/
"""

import asyncio
import os
import socket
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from trustplane.api.meta import Json
from trustplane.errors import TrustplaneError
from trustplane.kube.client import Client
from trustplane.kube.errors import AlreadyExistsError, ConflictError
from trustplane.kube.kinds import LEASES
from trustplane.kube.metrics import LEADER

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Observation:
    """A Lease's record as seen by one candidate.

    Args:
        version: the Lease's resource version; every renewal changes it.
        holder: identity of the holder; empty: none.
        seconds: validity of the record, counted from its first observation.
        since: when this candidate first observed this version, in seconds of its own clock.
    """

    version: str
    holder: str
    seconds: float
    since: float

    def is_available_to(self, identity: str, now: float) -> bool:
        """Return whether `identity` may hold the Lease from `now` on."""
        return self.holder in ("", identity) or now > self.since + self.seconds


def observe(lease: Json, before: Observation | None, now: float) -> Observation:
    """Observe a Lease; an unchanged version keeps its first time. Other machines' clocks are never trusted."""
    version, spec = lease["metadata"]["resourceVersion"], lease.get("spec", {})
    since = before.since if before and before.version == version else now
    return Observation(version, spec.get("holderIdentity") or "", spec.get("leaseDurationSeconds", 0), since)


class Lease:
    """The right to lead.

    Args:
        client: to the API server.
        name: of the Lease.
        namespace: of the Lease; it must exist.
        seconds: time without a renewal after which other processes take over.
        identity: of this process; empty: generate one.
    """

    def __init__(self, client: Client, name: str, namespace: str, *, seconds: int = 15, identity: str = "") -> None:
        self.name = name
        self.identity = identity or f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"
        self._client = client
        self._namespace = namespace
        self._seconds = seconds
        self._deadline = seconds * 2 / 3  # time without a renewal after which the holder stops leading
        self._patience = seconds / 4  # per attempt: a hanging request must leave time for further ones
        self._pause = seconds / 8
        self._observed: Observation | None = None

    async def acquire(self) -> None:
        """Wait until this process holds the Lease."""
        while not await self._attempt():  # noqa: ASYNC110  another process's release is visible on the server only
            await asyncio.sleep(self._pause)
        LEADER.labels(self.name).set(1)
        log.info("leading", lease=self.name, identity=self.identity)

    async def hold(self) -> None:
        """Renew the Lease; return when it is lost: taken by another process, or not renewed in time."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            started = loop.time()
            try:
                async with asyncio.timeout_at(renewed + self._deadline):
                    while not await self._attempt():
                        if self._observed and self._observed.holder not in ("", self.identity):
                            return self._lost(f"taken by {self._observed.holder}")
                        await asyncio.sleep(self._pause)
                        started = loop.time()
                    renewed = started
            except TimeoutError:
                return self._lost("not renewed in time")
            await asyncio.sleep(self._pause)

    async def release(self) -> None:
        """Release the Lease for immediate takeover by another process. A failure is harmless: the Lease expires."""
        LEADER.labels(self.name).set(0)
        if self._observed is None:
            return
        try:
            async with asyncio.timeout(self._deadline):
                while not await self._give_up():
                    pass
        except (TrustplaneError, TimeoutError) as error:
            log.warning("lease not released", lease=self.name, error=str(error))

    async def _give_up(self) -> bool:
        """Clear the record unless another process holds it; return whether the Lease is released."""
        # The last observation may be outdated: a cancelled renewal may have reached the server.
        lease = await self._client.find(LEASES, self.name, self._namespace)
        if lease is None or lease.get("spec", {}).get("holderIdentity") != self.identity:
            return True
        spec = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
        try:
            await self._write(lease["metadata"]["resourceVersion"], spec)
        except ConflictError:
            return False
        return True

    def _lost(self, why: str) -> None:
        LEADER.labels(self.name).set(0)
        log.error("lease lost", lease=self.name, why=why)

    async def _attempt(self) -> bool:
        try:
            async with asyncio.timeout(self._patience):
                return await self._obtain()
        except (TrustplaneError, TimeoutError) as error:
            log.info("lease not obtained", lease=self.name, error=str(error) or "no answer in time")
            return False

    async def _obtain(self) -> bool:
        lease = await self._client.find(LEASES, self.name, self._namespace) or await self._create()
        self._observed = observe(lease, self._observed, asyncio.get_running_loop().time())
        if not self._observed.is_available_to(self.identity, asyncio.get_running_loop().time()):
            return False
        await self._write(self._observed.version, self._claim(lease.get("spec", {})))
        return True

    async def _create(self) -> Json:
        body = {"metadata": {"name": self.name, "namespace": self._namespace}, "spec": {}}
        try:
            return await self._client.create(LEASES, body)
        except AlreadyExistsError:
            return await self._client.get(LEASES, self.name, self._namespace)

    def _claim(self, spec: Json) -> Json:
        claim: Json = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": self._seconds,
            "renewTime": _now(),
        }
        if spec.get("holderIdentity") != self.identity:
            claim["acquireTime"] = claim["renewTime"]
            claim["leaseTransitions"] = (
                spec.get("leaseTransitions", -1) + 1
            )  # the first holder does not count as a transition
        return claim

    async def _write(self, version: str, spec: Json) -> None:
        body = {"metadata": {"resourceVersion": version}, "spec": spec}
        lease = await self._client.patch(LEASES, self.name, self._namespace, body)
        self._observed = observe(lease, None, asyncio.get_running_loop().time())


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
