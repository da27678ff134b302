"""The validating webhook: checks trust lists before they are stored.

It must never block the API: it allows deletions always, and uncheckable objects with a warning. The API server's schema
rules (`api.crds`) and the controllers' last good list (rule P10) remain as further safeguards.
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
from trustplane.clusterapi.admission import object_findings, object_secrets
from trustplane.errors import TrustplaneError
from trustplane.kube.client import Client
from trustplane.kube.resource import Resource
from trustplane.webhooks.admission_response import review_response
from trustplane.webhooks.limits import SMALL_BYTES, BodyError, request_body
from trustplane.webhooks.review import AdmissionRequest, kind_label, parse_review, relevant_part

_SECRETS: Resource[Secret] = Resource("", "v1", "Secret", "secrets", Secret)
_READ_SECONDS = 2.0  # for reading Secrets, of the 5 granted by the API server
_TURN_SECONDS = 4.0  # a large object waits this long for others, then is allowed
_MAX_LARGE = 2

_log = structlog.get_logger(__name__)
_reviews = Counter("trustplane_admission_reviews", "Objects checked before they are stored.", ["kind", "result"])
_seconds = Histogram("trustplane_admission_seconds", "Time to check an object, in seconds.")


class Admission:
    """Answers AdmissionReviews; its only state is the number of large objects in progress.

    Args:
        client: to the management cluster; reads only Secrets referenced by Clusters.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._turn = asyncio.Semaphore(_MAX_LARGE)

    def route(self) -> Route:
        """Return the route configured in the ValidatingWebhookConfiguration."""
        return Route(ADMISSION_PATH, self._endpoint, methods=["POST"])

    async def _endpoint(self, request: Request) -> Response:
        try:
            async with request_body(request) as body:
                review = parse_review(body)
                if review is None:
                    return PlainTextResponse("The request is not an AdmissionReview", 400)
                with _seconds.time():
                    response = await self.review(review)
        except BodyError as error:
            return PlainTextResponse(str(error), error.status)
        return Response(msgspec.json.encode(response), media_type="application/json")

    async def review(self, request: AdmissionRequest) -> Json:
        """Return the AdmissionReview that answers a request."""
        kind = kind_label(request.kind.kind)
        try:
            findings = await self._check(request)
        except Exception as error:  # noqa: BLE001  a bug must neither block the API nor reveal the object
            _log.error(
                "not checked", kind=kind, error=type(error).__name__, at=traceback.format_tb(error.__traceback__)
            )
            findings, result = [NOT_CHECKED], "not-judged"
        else:
            refused = any(finding.severity is Severity.ERROR for finding in findings)
            result = "refused" if refused else "warned" if findings else "allowed"
        _reviews.labels(kind, result).inc()
        return review_response(request.head(), findings)

    async def _check(self, request: AdmissionRequest) -> list[Finding]:
        if request.operation not in {"CREATE", "UPDATE"}:
            return []
        if len(request.object) + len(request.old_object) <= SMALL_BYTES:
            return await self._check_parts(request)
        async with asyncio.timeout(_TURN_SECONDS):
            await self._turn.acquire()
        try:
            return await self._check_parts(request)
        finally:
            self._turn.release()

    async def _check_parts(self, request: AdmissionRequest) -> list[Finding]:
        kind = request.kind.kind
        parts = await asyncio.to_thread(_parts, request)
        if parts is None:
            return []
        after, before = parts
        secrets = await self._read_secrets(object_secrets(kind, after, before), request.namespace)
        # Decoding a long list is slow; a thread keeps the server responsive.
        return await asyncio.to_thread(object_findings, kind, after, before, secrets, dt.datetime.now(dt.UTC))

    async def _read_secrets(self, names: set[str], namespace: str) -> dict[str, Mapping[str, str] | None]:
        """Read Secrets by name; omit those not read in time. None: the Secret does not exist."""
        secrets: dict[str, Mapping[str, str] | None] = {}
        try:
            async with asyncio.timeout(_READ_SECONDS):
                for name in sorted(names):
                    secret = await self._client.find(_SECRETS, name, namespace)
                    secrets[name] = None if secret is None else secret.data
        except (TrustplaneError, TimeoutError) as error:
            _log.warning("secrets of a cluster not read", namespace=namespace, error=type(error).__name__)
        return secrets


def _parts(request: AdmissionRequest) -> tuple[Json, Json | None] | None:
    """Return the relevant parts of the new and the old object; None if no check is needed."""
    after = relevant_part(request.kind.kind, request.object)
    if not after or after["metadata"].get("deletionTimestamp"):
        return None
    return after, relevant_part(request.kind.kind, request.old_object)


NOT_CHECKED = Finding(
    code="not-judged",
    severity=Severity.WARNING,
    what="The trust list was stored without a check, because of an error in Trustplane",
    why="The log of `trustplane webhook` has the details",
    next_step="Check condition TrustValid of the object, and report the error",
)
