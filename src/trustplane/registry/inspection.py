"""Inspection of a registry's hosts: dial each, and decide as a node would."""

import datetime as dt
import http.client
from collections.abc import Iterator
from dataclasses import dataclass, replace

from gox509 import Cause, GoCertificate, MalformedError, Pool, Verdict, verify
from gox509.openssl import openssl_difference
from trustplane.api.image_reference import ImageReference
from trustplane.certificates.repair import read_any
from trustplane.registry.address import Address
from trustplane.registry.dial import Served, dial
from trustplane.registry.exchange import Response
from trustplane.registry.failure import Failure
from trustplane.registry.hosts import TokenService, blob_host, challenge, get, token_service
from trustplane.registry.issuers import fetch
from trustplane.registry.reach import Target, Unasked

REGISTRY, TOKEN_SERVICE, BLOB_HOST = "registry", "token service", "blob host"

_MAX_FETCHED = 4  # issuers fetched for one chain
_API_STATUS = (200, 401)  # valid responses to GET /v2/ by the distribution specification
_OTHER_HOST_CAUSES = {TOKEN_SERVICE: "token-service-untrusted", BLOB_HOST: "blob-host-untrusted"}


@dataclass(frozen=True)
class Follow:
    """The hosts beyond the registry's own site that the user allows Trustplane to contact."""

    hosts: bool = False  # token services and blob hosts on other sites
    issuers: bool = False  # the URLs at which certificates say their issuer's certificate is published


NOTHING = Follow()


@dataclass(frozen=True, kw_only=True)
class HostReport:
    """One host: the certificates it served, and a node's verdict."""

    role: str
    address: Address | str  # text if the host was not contacted
    served: Served
    verdict: Verdict | None = None  # None: the host served no certificates
    failure: Failure | None = None  # why it served none, or why it is not a registry
    openssl: str = ""  # why OpenSSL, in s_client or curl, would decide differently
    missing: GoCertificate | None = None  # a published issuer that would make the chain trusted

    @property
    def trusted(self) -> bool:
        """Whether nodes with this trust list accept the host."""
        return self.verdict is not None and self.verdict.trusted

    @property
    def cause(self) -> str:
        """Code of the cause of a failure or refusal; empty without one."""
        if self.verdict and not self.verdict.trusted:
            return _OTHER_HOST_CAUSES.get(self.role, str(self.verdict.cause))
        return self.failure.cause if self.failure else ""


def inspect(
    address: Address, trust: Pool, at: dt.datetime, *, image: ImageReference | None = None, follow: Follow = NOTHING
) -> Iterator[HostReport]:
    """Yield reports on the registry, its token service and its blob host, as far as they exist."""
    report = inspect_host(REGISTRY, address, trust, at, registry=address, follow=follow)
    answer = get(address, "/v2/") if report.served.certificates else None
    if isinstance(answer, Failure):
        report = replace(report, failure=answer)
    elif answer is not None and answer.status not in _API_STATUS:
        message = f"GET https://{address}/v2/ answers {answer.status}; a registry answers 200 or 401"
        report = replace(report, failure=Failure("not-a-registry", message))
    elif answer is not None and _is_page(answer):
        message = f"GET https://{address}/v2/ answers with a web page; a registry answers with JSON"
        report = replace(report, failure=Failure("not-a-registry", message))
    yield report
    if isinstance(answer, Response) and answer.status in _API_STATUS:
        for role, other in _other_hosts(address, answer, image, follow):
            if isinstance(other, Unasked):
                yield _skipped(role, address, other)
            else:
                yield inspect_host(role, other, trust, at, registry=address, follow=follow)


def _is_page(answer: Response) -> bool:
    """Return whether a response is the page of a portal or a proxy. Some registries demand a login with a page."""
    return answer.status == http.client.OK and answer.headers.get("content-type", "").lower().startswith("text/html")


def _other_hosts(
    address: Address, answer: Response, image: ImageReference | None, follow: Follow
) -> Iterator[tuple[str, Target | Unasked]]:
    tokens = token_service(address, challenge(answer), anywhere=follow.hosts)
    if isinstance(tokens, Unasked):
        yield TOKEN_SERVICE, tokens
    elif tokens and tokens.where.address != address:
        yield TOKEN_SERVICE, tokens.where
    service = tokens if isinstance(tokens, TokenService) else None
    blobs = blob_host(address, image, service, anywhere=follow.hosts) if image else None
    if blobs:
        yield BLOB_HOST, blobs


def _skipped(role: str, address: Address, other: Unasked) -> HostReport:
    message = f"{address} names it: {other.message}"
    return HostReport(role=role, address=other.host, served=Served(), failure=Failure("not-asked", message))


def inspect_host(
    role: str, where: Address | Target, trust: Pool, at: dt.datetime, *, registry: Address, follow: Follow = NOTHING
) -> HostReport:
    """Dial one host and verify the chain it serves."""
    address = where.address if isinstance(where, Target) else where
    served = dial(where)
    if served.failure:
        return HostReport(role=role, address=address, served=served, failure=served.failure)
    verdict = verify(served.certificates, trust, address.host, at)
    missing = _missing_issuer(served, verdict, trust, (address, registry), at) if follow.issuers else None
    if missing and verdict.cause is Cause.ISSUER_NOT_TRUSTED:
        verdict = replace(verdict, cause=Cause.MISSING_INTERMEDIATE, also_possible=())
    openssl = openssl_difference(verdict, served.certificates, trust, address.host, at)
    return HostReport(role=role, address=address, served=served, verdict=verdict, missing=missing, openssl=openssl)


def _missing_issuer(
    served: Served, verdict: Verdict, trust: Pool, hosts: tuple[Address, Address], at: dt.datetime
) -> GoCertificate | None:
    """Fetch published issuers of the chain's end until nodes would accept it, and return the first of them."""
    certificates, first = list(served.certificates), None
    address, registry = hosts
    for _ in range(_MAX_FETCHED):
        if verdict.cause not in {Cause.ISSUER_NOT_TRUSTED, Cause.MISSING_INTERMEDIATE} or not verdict.chain:
            return None
        fetched = _fetch_issuer(verdict.chain[-1], registry)
        if fetched is None or fetched.raw in certificates:
            return None
        first = first or fetched
        certificates.append(fetched.raw)
        verdict = verify(certificates, trust, address.host, at)
        if verdict.trusted:
            return first
    return None


def _fetch_issuer(certificate: GoCertificate, registry: Address) -> GoCertificate | None:
    for url in certificate.extensions.ca_issuers[:2]:
        for candidate in read_any(fetch(url, registry)).certificates:
            try:
                return GoCertificate.read(candidate.der)
            except MalformedError:
                continue
    return None
