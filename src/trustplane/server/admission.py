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
from trustplane.server.extension import read_body

_SECRETS: Resource[Secret] = Resource("", "v1", "Secret", "secrets", Secret)
_READ_SECONDS = 2.0  # for Secrets, of the 5 that the API server waits

_log = structlog.get_logger(__name__)
_reviews = Counter("trustplane_admission_reviews", "Objects judged before they are stored.", ["kind", "result"])
_seconds = Histogram("trustplane_admission_seconds", "Time to judge an object, in seconds.")


class Admission:
    """Answers AdmissionReviews; keeps no state.

    Args:
        client: To the management cluster; only Secrets that Clusters name are read.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def route(self) -> Route:
        """Return the route that the ValidatingWebhookConfiguration names."""
        return Route(ADMISSION_PATH, self._endpoint, methods=["POST"])

    async def _endpoint(self, request: Request) -> Response:
        body = await read_body(request)
        review = _decoded(body) if body is not None else None
        if review is None:
            return PlainTextResponse("The request is not an AdmissionReview, or too large", 400)
        with _seconds.time():
            decided = await self.review(review)
        return Response(msgspec.json.encode(decided), media_type="application/json")

    async def review(self, request: Json) -> Json:
        """Answer the `request` of an AdmissionReview with an AdmissionReview."""
        kind = (request.get("kind") or {}).get("kind", "")
        try:
            findings = await self._judge(kind, request)
        except Exception as error:  # noqa: BLE001  an error of ours must neither stop the API nor show what was sent
            _log.error("not judged", kind=kind, error=type(error).__name__, at=traceback.format_tb(error.__traceback__))
            findings, result = [NOT_JUDGED], "not-judged"
        else:
            refused = any(one.severity is Severity.ERROR for one in findings)
            result = "refused" if refused else "warned" if findings else "allowed"
        _reviews.labels(kind, result).inc()
        return answer(request, findings)

    async def _judge(self, kind: str, request: Json) -> list[Finding]:
        after, before = request.get("object"), request.get("oldObject")
        if request.get("operation") not in {"CREATE", "UPDATE"} or not after:
            return []
        if after["metadata"].get("deletionTimestamp"):
            return []
        secrets = await self._read(needed_secrets(kind, after, before), request.get("namespace", ""))
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


def _decoded(body: bytes) -> Json | None:
    try:
        request = msgspec.json.decode(body, type=Json).get("request")
    except msgspec.DecodeError:
        return None
    return request if isinstance(request, dict) else None


NOT_JUDGED = Finding(
    code="not-judged",
    severity=Severity.WARNING,
    what="The trust list was stored without being judged, because of an error in Trustplane",
    why="The log of `trustplane extension` says where",
    next_step="Look at condition TrustValid of the object, and report the error",
)
