"""Events on pods of workload clusters: the one of a pod and a cause is made once, and kept while the pod fails."""

import asyncio
import random
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from trustplane.api.meta import Json
from trustplane.api.pod import PodMetadata
from trustplane.controllers.metrics import PULL_EVENTS
from trustplane.controllers.pulls.watch import PullWatch
from trustplane.diagnosis.cause import Code
from trustplane.kube.client import Client
from trustplane.kube.errors import AlreadyExistsError, ForbiddenError, InvalidError, NotFoundError
from trustplane.kube.kinds import EVENTS
from trustplane.kube.tasks import settled
from trustplane.reporting import pull_failures

PULLS_COMPONENT: Final = "trustplane.dev/pulls"  # who reports
EVENT_BATCH: Final = 250  # Events in one go; another reconcile has the rest
BATCH_PAUSE: Final = 0.5  # seconds between two such goes
_AT_A_TIME: Final = 8
_INSTANCE: Final = socket.gethostname()
# Seconds: API servers drop Events that nobody has touched for an hour; up to ten minutes later somebody looks.
_RENEWED: Final = (25 * 60.0, 45 * 60.0)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class PullExplanation:
    """What a pod is to be told."""

    pod: PodMetadata
    cause: Code
    text: Callable[[], str]  # made only where it is told


async def write_explanations(watch: PullWatch, tellings: Iterable[PullExplanation]) -> None:
    """Tell pods of a workload cluster; note when each is to be told again.

    Raises:
        UnavailableError: The cluster does not answer; those that are not noted have not been told.
    """
    places, clock = asyncio.Semaphore(_AT_A_TIME), asyncio.get_running_loop()

    async def one(telling: PullExplanation) -> None:
        async with places:
            is_known = watch.has_reported(telling.pod, telling.cause)
            PULL_EVENTS.labels(await _tell(watch.client, telling, is_known=is_known)).inc()
            until = clock.time() + random.uniform(*_RENEWED)  # noqa: S311  spreads the renewals
            watch.note_report(telling.pod, telling.cause, until)

    await settled(*map(one, tellings))


async def _tell(client: Client, telling: PullExplanation, *, is_known: bool) -> str:
    """Tell one pod; return what became of it."""
    now = datetime.now(UTC)
    try:
        if is_known and await _renew(client, telling, now):
            return "renewed"
        await client.create(EVENTS, _body(telling, now))
    except AlreadyExistsError:
        return "known"
    except (NotFoundError, ForbiddenError, InvalidError) as error:  # as in a namespace that is being deleted
        _log.info("event on a pod refused", pod=f"{telling.pod.namespace}/{telling.pod.name}", error=str(error))
        return "refused"
    return "made"


async def _renew(client: Client, telling: PullExplanation, now: datetime) -> bool:
    """Count an Event once more, which keeps it for another hour; tell whether it is there."""
    name, namespace = pull_failures.event_name(telling.pod, telling.cause), telling.pod.namespace
    found = await client.find(EVENTS, name, namespace)
    if found is None:
        return False
    count = (found.get("series") or {}).get("count", 1) + 1
    series: Json = {"count": count, "lastObservedTime": pull_failures.micro_time(now)}
    await client.patch(EVENTS, name, namespace, {"series": series})
    return True


def _body(telling: PullExplanation, now: datetime) -> Json:
    return pull_failures.event(
        telling.pod, telling.cause, telling.text(), component=PULLS_COMPONENT, instance=_INSTANCE, now=now
    )
