"""Dial the hosts of a registry from here: their chains, the authentication scheme, and the second hosts they name."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from gox509 import GoCertificate, MalformedError
from trustplane.api.image_reference import ImageReference, parse_image
from trustplane.certificates.repair import read_any
from trustplane.diagnosis.evidence.limit import USUAL, TimeLimits, collect, run_in_thread
from trustplane.diagnosis.facts import CollectorReport, Host, Missing, ObservedFrom, Part
from trustplane.diagnosis.layer import Role
from trustplane.errors import UserError
from trustplane.kube.tasks import together
from trustplane.registry.address import Address
from trustplane.registry.dial import Served, dial
from trustplane.registry.exchange import Response
from trustplane.registry.failure import Failure
from trustplane.registry.hosts import TokenService, blob_host, challenge, get, manifest_status, token_service
from trustplane.registry.inspection import NOTHING, Follow
from trustplane.registry.issuers import fetch
from trustplane.registry.reach import Target, Unasked, target
from trustplane.text import clean

_API_STATUS = (200, 401)
_MAX_URL = 200  # characters in a text
_ANSWERS = (Missing(Part.ANSWERS),)
_ISSUERS = (Missing(Part.ISSUERS),)


@dataclass
class RegistryObservation:
    """The hosts of a registry as dialled from here, and the registry's answers."""

    hosts: list[Host] = field(default_factory=list)
    challenge: str = ""
    anonymous: int = 0
    issuers: list[bytes] = field(default_factory=list)
    reports: list[CollectorReport] = field(default_factory=list)


@dataclass(frozen=True)
class _Answer:
    """A registry's answer, and the second hosts that it names."""

    failure: Failure | None = None
    scheme: str = ""
    tokens: Target | Unasked | None = None
    blobs: Target | Unasked | None = None
    anonymous: int = 0


async def observe_hosts(
    observation: RegistryObservation,
    endpoints: Iterable[tuple[Role, str]],
    image: str,
    *,
    registry: str = "",
    follow: Follow = NOTHING,
    limits: TimeLimits = USUAL,
) -> None:
    """Dial hosts in parallel; ask the registry, anonymously, for its second hosts, and dial these.

    Args:
        observation: Receives each result as it arrives; results from before a timeout count.
        endpoints: Role and address of each host. The registry, or the author of the message, chose every host but the
            registry itself, so these are dialled only as `registry.reach` and `follow` allow.
        image: The image reference; "" for a registry alone.
        registry: The registry host of the image; by default the first endpoint with the role of a registry.
        follow: The hosts and issuers that may be contacted on other sites.
        limits: How long each request may take.
    """
    named = list(endpoints)
    registry = registry or next((address for role, address in named if role is Role.REGISTRY), "")
    rule = _DialRule(registry, follow, limits)
    await together(*(_observe_host(observation, role, address, image, rule) for role, address in named))


@dataclass(frozen=True)
class _DialRule:
    registry: str
    follow: Follow
    limits: TimeLimits

    def target(self, role: Role, address: Address) -> Address | Target | Unasked:
        """Decide whether an endpoint may be dialled. It may block."""
        if role is Role.REGISTRY:
            return address
        # Nodes choose their mirrors and proxies, on any site; addresses that only this machine reaches stay excluded.
        anywhere = self.follow.hosts or role not in (Role.TOKEN_SERVICE, Role.BLOB_STORE)
        try:
            registry = Address.read(self.registry)
        except UserError:
            registry = Address("")
        return target(registry, address, anywhere=anywhere)


async def _observe_host(observation: RegistryObservation, role: Role, name: str, image: str, rule: _DialRule) -> None:
    missing = (Missing(Part.CHAIN, name, role),)
    try:
        address = Address.read(name)
    except UserError as error:
        observation.reports.append(CollectorReport(f"{role} {name}", str(error), is_available=False, missing=missing))
        return
    source = f"{role} {name} from here"
    decision = await collect(
        source,
        run_in_thread(lambda: rule.target(role, address)),
        observation.reports,
        seconds=rule.limits.ask,
        missing=missing,
    )
    if isinstance(decision, Unasked):
        observation.reports.append(CollectorReport(source, decision.message, is_available=False, missing=missing))
    if decision is None or isinstance(decision, Unasked):
        return
    host = await _dial(observation, role, decision, name, rule.limits)
    if host is None or not host.certificates or role is not Role.REGISTRY:
        return
    await _fetch_issuers(observation, host, address, rule)
    answer = await collect(
        f"answers of {name}",
        run_in_thread(lambda: _ask(address, parse_image(image) if image else None, rule.follow)),
        observation.reports,
        seconds=rule.limits.ask,
        missing=_ANSWERS,
    )
    if answer is not None:
        await _dial_second_hosts(observation, host, answer, rule.limits)


async def _fetch_issuers(observation: RegistryObservation, host: Host, registry: Address, rule: _DialRule) -> None:
    """Fetch the issuer of the last certificate served, if the certificate contains its URL and the rule allows it."""
    urls = issuer_urls(host.certificates[-1])
    source = f"issuer of {host.address}'s chain"
    if urls and not rule.follow.issuers:
        text = f"not asked: {', '.join(clean(url, _MAX_URL) for url in urls)}. --follow-aia asks there"
        observation.reports.append(CollectorReport(source, text, is_available=False, missing=_ISSUERS))
        return
    files = await collect(
        source,
        run_in_thread(lambda: [read_any(fetch(url, registry, rule.limits.issuer)) for url in urls]),
        observation.reports,
        seconds=rule.limits.issuer,
        missing=_ISSUERS,
    )
    observation.issuers += [certificate.der for file in files or () for certificate in file.certificates]


async def _dial(
    observation: RegistryObservation, role: Role, address: Address | Target, name: str, limits: TimeLimits
) -> Host | None:
    source, missing = f"{role} {name} from here", (Missing(Part.CHAIN, name, role),)
    work = run_in_thread(lambda: dial(address, limits.dial))
    served = await collect(source, work, observation.reports, seconds=limits.dial + 1, missing=missing)
    if served is None:
        return None
    host = _host(role, name, served)
    observation.hosts.append(host)
    observation.reports.append(CollectorReport(source, _summary(served), missing=() if host.certificates else missing))
    return host


def _host(role: Role, address: str, served: Served) -> Host:
    failure = served.failure
    code, message = (failure.cause, failure.message) if failure else ("", "")
    return Host(role, address, ObservedFrom.HERE, served.certificates, code, message)


def _summary(served: Served) -> str:
    if served.failure:
        return f"{served.failure.cause}: {served.failure.message}"
    return f"{len(served.certificates)} certificates over {served.tls_version}"


async def _dial_second_hosts(
    observation: RegistryObservation, registry: Host, answer: _Answer, limits: TimeLimits
) -> None:
    observation.challenge, observation.anonymous = answer.scheme, answer.anonymous
    if failure := answer.failure:
        index = observation.hosts.index(registry)
        observation.hosts[index] = replace(registry, failure=failure.cause, message=failure.message)
        source = f"answers of {registry.address}"
        observation.reports.append(CollectorReport(source, failure.message, is_available=False, missing=_ANSWERS))
    known = {host.address for host in observation.hosts}
    targets = []
    for role, second in ((Role.TOKEN_SERVICE, answer.tokens), (Role.BLOB_STORE, answer.blobs)):
        if isinstance(second, Unasked):
            missing = (Missing(Part.CHAIN, role=role),)
            report = CollectorReport(f"{role} from here", second.message, is_available=False, missing=missing)
            observation.reports.append(report)
        elif second and str(second.address) not in known:
            targets.append((role, second))
    await together(*(_dial(observation, role, second, str(second.address), limits) for role, second in targets))


def _ask(address: Address, image: ImageReference | None, follow: Follow) -> _Answer:
    ping = get(address, "/v2/")
    if isinstance(ping, Failure):
        return _Answer(failure=ping)
    if ping.status not in _API_STATUS:
        message = f"GET https://{address}/v2/ answers {ping.status}; a registry answers 200 or 401"
        return _Answer(failure=Failure("not-a-registry", message))
    tokens = token_service(address, challenge(ping), anywhere=follow.hosts)
    known = tokens if isinstance(tokens, TokenService) else None
    return _Answer(
        scheme=_scheme(ping),
        tokens=_token_target(tokens, address),
        blobs=blob_host(address, image, known, anywhere=follow.hosts) if image else None,
        anonymous=manifest_status(address, image, known) if image else 0,
    )


def _token_target(tokens: TokenService | Unasked | None, registry: Address) -> Target | Unasked | None:
    """Return the token service to dial; None without one, or if the registry itself issues tokens."""
    if isinstance(tokens, TokenService):
        return tokens.where if tokens.where.address != registry else None
    return tokens


def _scheme(response: Response) -> str:
    return response.headers.get("www-authenticate", "").partition(" ")[0].lower()


def issuer_urls(der: bytes) -> tuple[str, ...]:
    """Return the URLs of the issuer in a certificate; none if it is self-issued."""
    try:
        certificate = GoCertificate.read(der)
    except MalformedError:
        return ()
    return () if certificate.is_self_issued else tuple(certificate.extensions.ca_issuers[:2])
