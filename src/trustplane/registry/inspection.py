"""Ask every host of a registry, and let each answer be judged as a node would judge it."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace

from trustplane.certificates.repair import read_any
from trustplane.certificates.verification import Cause, GoCertificate, MalformedError, Pool, Verdict, verify
from trustplane.certificates.verification.openssl import openssl_difference
from trustplane.registry.address import Address
from trustplane.registry.dial import Served, dial
from trustplane.registry.exchange import Response
from trustplane.registry.failure import Failure
from trustplane.registry.hosts import Image, TokenService, blob_host, challenge, get, token_service
from trustplane.registry.issuers import fetch
from trustplane.registry.reach import Target, Unasked

REGISTRY, TOKEN_SERVICE, BLOB_HOST = "registry", "token service", "blob host"

_MAX_FETCHED = 4  # issuers followed from one chain
_API_STATUS = (200, 401)  # answers to GET /v2/ by the distribution specification
_OTHER_HOST_CAUSES = {TOKEN_SERVICE: "token-service-untrusted", BLOB_HOST: "blob-host-untrusted"}


@dataclass(frozen=True)
class Follow:
    """What an operator wants to be asked besides the hosts of the registry's own site."""

    hosts: bool = False  # token services and blob hosts on other sites
    issuers: bool = False  # where certificates say that their issuer's is


NOTHING = Follow()


@dataclass(frozen=True, kw_only=True)
class HostReport:
    """One host: what it served, and what a node decides."""

    role: str
    address: Address | str  # a text where it was not asked
    served: Served
    verdict: Verdict | None = None  # None: nothing was served
    failure: Failure | None = None  # why nothing was served, or why the host is no registry
    openssl: str = ""  # why OpenSSL, in s_client or curl, would decide otherwise
    missing: GoCertificate | None = None  # an issuer, fetched from where the chain says, with which it would be trusted

    @property
    def trusted(self) -> bool:
        """Whether a node with this trust list accepts the host."""
        return self.verdict is not None and self.verdict.trusted

    @property
    def cause(self) -> str:
        """Why not: a code of the diagnosis; empty when all is well."""
        if self.verdict and not self.verdict.trusted:
            return _OTHER_HOST_CAUSES.get(self.role, str(self.verdict.cause))
        return self.failure.cause if self.failure else ""


def inspect(
    address: Address, trust: Pool, at: dt.datetime, *, image: Image | None = None, follow: Follow = NOTHING
) -> Iterator[HostReport]:
    """Yield a report on the registry, then on its token service, then on its blob host, as far as there are such."""
    report = inspect_host(REGISTRY, address, trust, at, registry=address, follow=follow)
    answer = get(address, "/v2/") if report.served.certificates else None
    if isinstance(answer, Failure):
        report = replace(report, failure=answer)
    elif answer is not None and answer.status not in _API_STATUS:
        words = f"GET https://{address}/v2/ answers {answer.status}; a registry answers 200 or 401"
        report = replace(report, failure=Failure("not-a-registry", words))
    yield report
    if isinstance(answer, Response) and answer.status in _API_STATUS:
        for role, other in _others(address, answer, image, follow):
            if isinstance(other, Unasked):
                yield _unasked(role, address, other)
            else:
                yield inspect_host(role, other, trust, at, registry=address, follow=follow)


def _others(
    address: Address, answer: Response, image: Image | None, follow: Follow
) -> Iterator[tuple[str, Target | Unasked]]:
    tokens = token_service(address, challenge(answer), anywhere=follow.hosts)
    if isinstance(tokens, Unasked):
        yield TOKEN_SERVICE, tokens
    elif tokens and tokens.where.address != address:
        yield TOKEN_SERVICE, tokens.where
    known = tokens if isinstance(tokens, TokenService) else None
    blobs = blob_host(address, image, known, anywhere=follow.hosts) if image else None
    if blobs:
        yield BLOB_HOST, blobs


def _unasked(role: str, address: Address, other: Unasked) -> HostReport:
    words = f"{address} names it: {other.message}"
    return HostReport(role=role, address=other.host, served=Served(), failure=Failure("not-asked", words))


def inspect_host(
    role: str, where: Address | Target, trust: Pool, at: dt.datetime, *, registry: Address, follow: Follow = NOTHING
) -> HostReport:
    """Dial one host and judge what it serves."""
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
    """Fetch issuers from where the chain's end says, until a node would accept; the first is what is missing."""
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


def _fetch_issuer(one: GoCertificate, registry: Address) -> GoCertificate | None:
    for url in one.extensions.ca_issuers[:2]:
        for found in read_any(fetch(url, registry)).certificates:
            try:
                return GoCertificate.read(found.der)
            except MalformedError:
                continue
    return None
