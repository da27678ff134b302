"""Events on pods of workload clusters: one per pod and cause, renewed while the pod fails."""

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

PULLS_COMPONENT: Final = "trustplane.dev/pulls"  # the reporting component of Events
EVENT_BATCH: Final = 250  # Events per reconcile; the next reconcile writes the rest
BATCH_PAUSE: Final = 0.5  # seconds between two batches
_AT_A_TIME: Final = 8
_INSTANCE: Final = socket.gethostname()
# Seconds. API servers delete Events an hour after their last change; the next reconcile may be ten minutes later.
_RENEWED: Final = (25 * 60.0, 45 * 60.0)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class PullExplanation:
    """The explanation of a failure, to be reported on a pod."""

    pod: PodMetadata
    cause: Code
    text: Callable[[], str]  # evaluated only when a new Event is written


async def write_explanations(watch: PullWatch, tellings: Iterable[PullExplanation]) -> None:
    """Write Events on pods of a workload cluster, and note when to renew each.

    Raises:
        UnavailableError: The cluster does not answer; Events without a noted renewal are not written.
    """
    slots, clock = asyncio.Semaphore(_AT_A_TIME), asyncio.get_running_loop()

    async def report(telling: PullExplanation) -> None:
        async with slots:
            is_known = watch.has_reported(telling.pod, telling.cause)
            PULL_EVENTS.labels(await _report(watch.client, telling, is_known=is_known)).inc()
            until = clock.time() + random.uniform(*_RENEWED)  # noqa: S311  spreads the load
            watch.note_report(telling.pod, telling.cause, until)

    await settled(*map(report, tellings))


async def _report(client: Client, telling: PullExplanation, *, is_known: bool) -> str:
    """Write the Event of one pod; return the result as a metric label."""
    now = datetime.now(UTC)
    try:
        if is_known and await _renew(client, telling, now):
            return "renewed"
        await client.create(EVENTS, _body(telling, now))
    except AlreadyExistsError:
        return "known"
    except (NotFoundError, ForbiddenError, InvalidError) as error:  # for example, the namespace is being deleted
        _log.info("event on a pod refused", pod=f"{telling.pod.namespace}/{telling.pod.name}", error=str(error))
        return "refused"
    return "made"


async def _renew(client: Client, telling: PullExplanation, now: datetime) -> bool:
    """Increase an Event's count, which keeps it for another hour; return whether it exists."""
    name, namespace = pull_failures.pull_event_name(telling.pod, telling.cause), telling.pod.namespace
    event = await client.find(EVENTS, name, namespace)
    if event is None:
        return False
    count = (event.get("series") or {}).get("count", 1) + 1
    series: Json = {"count": count, "lastObservedTime": pull_failures.format_micro_time(now)}
    await client.patch(EVENTS, name, namespace, {"series": series})
    return True


def _body(telling: PullExplanation, now: datetime) -> Json:
    return pull_failures.build_pull_event(
        telling.pod, telling.cause, telling.text(), component=PULLS_COMPONENT, instance=_INSTANCE, now=now
    )
