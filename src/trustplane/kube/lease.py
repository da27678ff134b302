"""One leader of several processes, by a Lease of coordination.k8s.io.

The protocol is client-go's, so that `kubectl get leases` shows what an operator expects: a holder renews; whoever sees
the same record for as long as it is valid, by its own clock, may take it. The holder stops by itself earlier than that.
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
class Sighting:
    """A Lease's record as one candidate saw it.

    Args:
        version: the Lease's resource version; any renewal changes it.
        holder: who holds it; empty: nobody.
        seconds: how long the record is valid from when it was seen first.
        since: when this candidate saw this very version first, in seconds of its own clock.
    """

    version: str
    holder: str
    seconds: float
    since: float

    def free(self, identity: str, now: float) -> bool:
        """Tell whether `identity` may hold the Lease from `now` on."""
        return self.holder in ("", identity) or now > self.since + self.seconds


def sight(lease: Json, before: Sighting | None, now: float) -> Sighting:
    """Look at a Lease again; clocks of other machines are not trusted, only that nothing has changed since."""
    version, spec = lease["metadata"]["resourceVersion"], lease.get("spec", {})
    since = before.since if before and before.version == version else now
    return Sighting(version, spec.get("holderIdentity") or "", spec.get("leaseDurationSeconds", 0), since)


class Lease:
    """The right to lead.

    Args:
        client: to the API server.
        name: of the Lease.
        namespace: of the Lease; it must exist.
        seconds: how long others wait after the last renewal before they take over.
        identity: of this process; made up where empty.
    """

    def __init__(self, client: Client, name: str, namespace: str, *, seconds: int = 15, identity: str = "") -> None:
        self.name = name
        self.identity = identity or f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"
        self._client = client
        self._namespace = namespace
        self._seconds = seconds
        self._deadline = seconds * 2 / 3  # without a renewal for so long, the holder stops leading
        self._patience = seconds / 4  # for one attempt: a request that hangs must leave time for others
        self._pause = seconds / 8
        self._seen: Sighting | None = None

    async def acquire(self) -> None:
        """Wait until this process holds the Lease."""
        while not await self._attempt():  # noqa: ASYNC110  the other process says so on the server only
            await asyncio.sleep(self._pause)
        LEADER.labels(self.name).set(1)
        log.info("leading", lease=self.name, identity=self.identity)

    async def hold(self) -> None:
        """Renew the Lease; return when it is lost: taken by another, or not renewed in time."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            started = loop.time()
            try:
                async with asyncio.timeout_at(renewed + self._deadline):
                    while not await self._attempt():
                        if self._seen and self._seen.holder not in ("", self.identity):
                            return self._lost(f"taken by {self._seen.holder}")
                        await asyncio.sleep(self._pause)
                        started = loop.time()
                    renewed = started
            except TimeoutError:
                return self._lost("not renewed in time")
            await asyncio.sleep(self._pause)

    async def release(self) -> None:
        """Give the Lease up, so that another process can take it at once. Failing is no harm: it expires."""
        LEADER.labels(self.name).set(0)
        if self._seen is None:
            return
        try:
            async with asyncio.timeout(self._deadline):
                while not await self._give_up():
                    pass
        except (TrustplaneError, TimeoutError) as error:
            log.warning("lease not released", lease=self.name, error=str(error))

    async def _give_up(self) -> bool:
        """Empty the record unless it is another's by now; tell whether that is settled."""
        # What was seen last may be old: a renewal that was cancelled on its way here can have reached the server.
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
        self._seen = sight(lease, self._seen, asyncio.get_running_loop().time())
        if not self._seen.free(self.identity, asyncio.get_running_loop().time()):
            return False
        await self._write(self._seen.version, self._claim(lease.get("spec", {})))
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
            claim["leaseTransitions"] = spec.get("leaseTransitions", -1) + 1  # the first holder is no transition
        return claim

    async def _write(self, version: str, spec: Json) -> None:
        body = {"metadata": {"resourceVersion": version}, "spec": spec}
        lease = await self._client.patch(LEASES, self.name, self._namespace, body)
        self._seen = sight(lease, None, asyncio.get_running_loop().time())


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
