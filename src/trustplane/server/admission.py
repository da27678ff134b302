"""The validating webhook: trust lists are judged before they are stored.

It must never be what stops the API: what cannot be judged is let through with a warning, and a deletion always. The
API server's own rules (`api.crds`) and the controllers' last good set (rule P10) stand behind it.
"""

import asyncio
import datetime as dt
import traceback
from collections.abc import Mapping

import msgspec
import structlog
from prometheus_client import Counter, Histogram
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from trustplane.api.core import Secret
from trustplane.api.meta import Json
from trustplane.api.webhooks import ADMISSION_PATH
from trustplane.certificates.finding import Finding, Severity
from trustplane.clusterapi.admission import findings_of, needed_secrets
from trustplane.errors import TrustplaneError
from trustplane.kube.client import Client
from trustplane.kube.resource import Resource
from trustplane.server.admission_answer import answer
from trustplane.server.limits import SMALL_BYTES, BodyError, body_of
from trustplane.server.review import AdmissionRequest, judged_part, label, read

_SECRETS: Resource[Secret] = Resource("", "v1", "Secret", "secrets", Secret)
_READ_SECONDS = 2.0  # for Secrets, of the 5 that the API server waits
_TURN_SECONDS = 4.0  # that a large object waits for others; then it is let through
_LARGE_AT_ONCE = 2

_log = structlog.get_logger(__name__)
_reviews = Counter("trustplane_admission_reviews", "Objects judged before they are stored.", ["kind", "result"])
_seconds = Histogram("trustplane_admission_seconds", "Time to judge an object, in seconds.")


class Admission:
    """Answers AdmissionReviews; keeps no state but how many large ones it judges.

    Args:
        client: To the management cluster; only Secrets that Clusters name are read.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._turn = asyncio.Semaphore(_LARGE_AT_ONCE)

    def route(self) -> Route:
        """Return the route that the ValidatingWebhookConfiguration names."""
        return Route(ADMISSION_PATH, self._endpoint, methods=["POST"])

    async def _endpoint(self, request: Request) -> Response:
        try:
            async with body_of(request) as body:
                review = read(body)
                if review is None:
                    return PlainTextResponse("The request is not an AdmissionReview", 400)
                with _seconds.time():
                    decided = await self.review(review)
        except BodyError as error:
            return PlainTextResponse(str(error), error.status)
        return Response(msgspec.json.encode(decided), media_type="application/json")

    async def review(self, request: AdmissionRequest) -> Json:
        """Answer the request of an AdmissionReview with an AdmissionReview."""
        kind = label(request.kind.kind)
        try:
            findings = await self._judge(request)
        except Exception as error:  # noqa: BLE001  an error of ours must neither stop the API nor show what was sent
            _log.error("not judged", kind=kind, error=type(error).__name__, at=traceback.format_tb(error.__traceback__))
            findings, result = [NOT_JUDGED], "not-judged"
        else:
            refused = any(one.severity is Severity.ERROR for one in findings)
            result = "refused" if refused else "warned" if findings else "allowed"
        _reviews.labels(kind, result).inc()
        return answer(request.head(), findings)

    async def _judge(self, request: AdmissionRequest) -> list[Finding]:
        if request.operation not in {"CREATE", "UPDATE"}:
            return []
        if len(request.object) + len(request.old_object) <= SMALL_BYTES:
            return await self._judge_parts(request)
        async with asyncio.timeout(_TURN_SECONDS):
            await self._turn.acquire()
        try:
            return await self._judge_parts(request)
        finally:
            self._turn.release()

    async def _judge_parts(self, request: AdmissionRequest) -> list[Finding]:
        kind = request.kind.kind
        parts = await asyncio.to_thread(_parts, request)
        if parts is None:
            return []
        after, before = parts
        secrets = await self._read(needed_secrets(kind, after, before), request.namespace)
        # Long lists take long to decode: others are answered in the meantime.
        return await asyncio.to_thread(findings_of, kind, after, before, secrets, dt.datetime.now(dt.UTC))

    async def _read(self, names: set[str], namespace: str) -> dict[str, Mapping[str, str] | None]:
        """Read Secrets; those that cannot be read in time are left out."""
        found: dict[str, Mapping[str, str] | None] = {}
        try:
            async with asyncio.timeout(_READ_SECONDS):
                for name in sorted(names):
                    secret = await self._client.find(_SECRETS, name, namespace)
                    found[name] = None if secret is None else secret.data
        except (TrustplaneError, TimeoutError) as error:
            _log.warning("secrets of a cluster not read", namespace=namespace, error=type(error).__name__)
        return found


def _parts(request: AdmissionRequest) -> tuple[Json, Json | None] | None:
    """Return what is judged of the object and of the one before; None where nothing is."""
    after = judged_part(request.kind.kind, request.object)
    if not after or after["metadata"].get("deletionTimestamp"):
        return None
    return after, judged_part(request.kind.kind, request.old_object)


NOT_JUDGED = Finding(
    code="not-judged",
    severity=Severity.WARNING,
    what="The trust list was stored without being judged, because of an error in Trustplane",
    why="The log of `trustplane webhook` says where",
    next_step="Look at condition TrustValid of the object, and report the error",
)
