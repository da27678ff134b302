"""The hosts of a registry as seen from here: what they serve, how they ask for credentials, where they send."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from trustplane.certificates.repair import read_any
from trustplane.certificates.verification import GoCertificate, MalformedError
from trustplane.collectors.limit import in_thread, look
from trustplane.diagnosis.endpoint import DOCKER_HUB
from trustplane.diagnosis.evidence import Host, Look, Vantage
from trustplane.diagnosis.layer import Role
from trustplane.errors import UserError
from trustplane.kube.tasks import together
from trustplane.registry.address import Address
from trustplane.registry.dial import Served, dial
from trustplane.registry.failure import Failure
from trustplane.registry.hosts import Challenge, Image, Response, blob_host, challenge, get, manifest_status
from trustplane.registry.issuers import fetch

DIAL_SECONDS = 4.0
ASK_SECONDS = 4.0
ISSUER_SECONDS = 2.0
_HUB_SERVER = "registry-1.docker.io"
_API_STATUS = (200, 401)


@dataclass
class Seen:
    """What was seen of a registry from here."""

    hosts: list[Host] = field(default_factory=list)
    challenge: str = ""
    anonymous: int = 0
    issuers: list[bytes] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)


@dataclass(frozen=True)
class _Answer:
    """What a registry answered, and the other hosts that it names."""

    failure: Failure | None = None
    scheme: str = ""
    token: Address | None = None
    blobs: Address | None = None
    anonymous: int = 0


async def look_at(seen: Seen, endpoints: Iterable[tuple[Role, str]], image: str) -> None:
    """Dial hosts at once; ask the registry, anonymously, for its other hosts and dial those as well.

    Args:
        seen: Takes what is seen, as it comes: what is there when the time is up counts.
        endpoints: What each host is to the registry, and its address.
        image: The image's name; "" where it is about the registry alone.
    """
    await together(*(_one(seen, role, address, image) for role, address in endpoints))


async def _one(seen: Seen, role: Role, text: str, image: str) -> None:
    try:
        address = Address.read(_HUB_SERVER if text == DOCKER_HUB else text)
    except UserError as error:
        seen.looks.append(Look(f"{role} {text}", str(error), seen=False))
        return
    host = await _dial(seen, role, address, text)
    if host is None or not host.certificates or role is not Role.REGISTRY:
        return
    await _issuers(seen, host)
    asked = await look(
        f"what {text} answers", in_thread(lambda: _ask(address, _image(image))), seen.looks, seconds=ASK_SECONDS
    )
    if asked is not None:
        await _others(seen, host, asked)


async def _issuers(seen: Seen, host: Host) -> None:
    """Fetch the issuer of the last certificate that was served, where that says where it is."""
    urls = published(host.certificates[-1])
    found = await look(
        f"issuer of {host.address}'s chain",
        in_thread(lambda: [read_any(fetch(url)) for url in urls]),
        seen.looks,
        seconds=ISSUER_SECONDS,
    )
    seen.issuers += [one.der for parsed in found or () for one in parsed.certificates]


async def _dial(seen: Seen, role: Role, address: Address, text: str) -> Host | None:
    served = await look(
        f"{role} {text} from here", in_thread(lambda: dial(address, DIAL_SECONDS)), seen.looks, seconds=DIAL_SECONDS + 1
    )
    if served is None:
        return None
    host = _host(role, text, served)
    seen.hosts.append(host)
    seen.looks.append(Look(f"{role} {text} from here", _words(served)))
    return host


def _host(role: Role, address: str, served: Served) -> Host:
    failure = served.failure
    code, words = (failure.cause, failure.message) if failure else ("", "")
    return Host(role, address, Vantage.HERE, served.certificates, code, words)


def _words(served: Served) -> str:
    if served.failure:
        return f"{served.failure.cause}: {served.failure.message}"
    return f"{len(served.certificates)} certificates by {served.tls_version}"


async def _others(seen: Seen, registry: Host, asked: _Answer) -> None:
    seen.challenge, seen.anonymous = asked.scheme, asked.anonymous
    if asked.failure:
        place = seen.hosts.index(registry)
        seen.hosts[place] = Host(
            registry.role,
            registry.address,
            registry.vantage,
            registry.certificates,
            asked.failure.cause,
            asked.failure.message,
        )
    known = {one.address for one in seen.hosts}
    others = ((Role.TOKEN_SERVICE, asked.token), (Role.BLOB_STORE, asked.blobs))
    wanted = [(role, one) for role, one in others if one and str(one) not in known]
    await together(*(_dial(seen, role, address, str(address)) for role, address in wanted))


def _ask(address: Address, image: Image | None) -> _Answer:
    answer = get(address, "/v2/")
    if isinstance(answer, Failure):
        return _Answer(failure=answer)
    if answer.status not in _API_STATUS:
        words = f"GET https://{address}/v2/ answers {answer.status}; a registry answers 200 or 401"
        return _Answer(failure=Failure("not-a-registry", words))
    asked = challenge(answer)
    return _Answer(
        scheme=_scheme(answer),
        token=_elsewhere(asked, address),
        blobs=blob_host(address, image, asked) if image else None,
        anonymous=manifest_status(address, image, asked) if image else 0,
    )


def _elsewhere(asked: Challenge | None, address: Address) -> Address | None:
    return asked.address if asked and asked.address != address else None


def _scheme(answer: Response) -> str:
    return answer.headers.get("www-authenticate", "").partition(" ")[0].lower()


def _image(name: str) -> Image | None:
    first, slash, rest = name.partition("/")
    if not slash:
        return Image.read(f"library/{name}") if name else None
    names_host = "." in first or ":" in first or first == "localhost"
    return Image.read(rest if names_host else name)


def published(certificate: bytes) -> tuple[str, ...]:
    """Return where a certificate says that its issuer is; nothing where it issued itself."""
    try:
        one = GoCertificate.read(certificate)
    except MalformedError:
        return ()
    return () if one.is_self_issued else tuple(one.extensions.ca_issuers[:2])
