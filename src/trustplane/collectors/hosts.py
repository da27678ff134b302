"""The hosts of a registry as seen from here: what they serve, how they ask for credentials, where they send."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from trustplane.certificates.repair import read_any
from trustplane.certificates.verification import GoCertificate, MalformedError
from trustplane.collectors.limit import in_thread, look
from trustplane.diagnosis.evidence import Host, Look, Vantage
from trustplane.diagnosis.layer import Role
from trustplane.errors import UserError
from trustplane.kube.tasks import together
from trustplane.registry.address import Address
from trustplane.registry.dial import Served, dial
from trustplane.registry.exchange import Response
from trustplane.registry.failure import Failure
from trustplane.registry.hosts import Image, TokenService, blob_host, challenge, get, manifest_status, token_service
from trustplane.registry.inspection import NOTHING, Follow
from trustplane.registry.issuers import fetch
from trustplane.registry.reach import Target, Unasked, target
from trustplane.text import clean

DIAL_SECONDS = 4.0
ASK_SECONDS = 4.0
ISSUER_SECONDS = 2.0
_API_STATUS = (200, 401)
_SHOWN = 200  # characters of a URL


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
    tokens: Target | Unasked | None = None
    blobs: Target | Unasked | None = None
    anonymous: int = 0


async def look_at(
    seen: Seen, endpoints: Iterable[tuple[Role, str]], image: str, *, registry: str = "", follow: Follow = NOTHING
) -> None:
    """Dial hosts at once; ask the registry, anonymously, for its other hosts and dial those as well.

    Args:
        seen: Takes what is seen, as it comes: what is there when the time is up counts.
        endpoints: What each host is to the registry, and its address; others than the registry are its choice, or
            that of whoever wrote the message, and are dialled only where `registry.reach` or `follow` says so.
        image: The image's name; "" where it is about the registry alone.
        registry: The host that the image's name begins with; left out: that of the first endpoint that is a registry.
        follow: What else is wanted.
    """
    named = list(endpoints)
    registry = registry or next((one for role, one in named if role is Role.REGISTRY), "")
    await together(*(_one(seen, role, address, image, _At(registry, follow)) for role, address in named))


@dataclass(frozen=True)
class _At:
    registry: str
    follow: Follow

    def where(self, role: Role, address: Address) -> Address | Target | Unasked:
        """Decide about an endpoint. It may block."""
        if role is Role.REGISTRY:
            return address
        # A mirror or a proxy is the nodes' choice, on any site; what only this machine reaches is no part of it.
        anywhere = self.follow.hosts or role not in (Role.TOKEN_SERVICE, Role.BLOB_STORE)
        try:
            registry = Address.read(self.registry)
        except UserError:
            registry = Address("")
        return target(registry, address, anywhere=anywhere)


async def _one(seen: Seen, role: Role, text: str, image: str, at: _At) -> None:
    try:
        address = Address.read(text)
    except UserError as error:
        seen.looks.append(Look(f"{role} {text}", str(error), seen=False))
        return
    source = f"{role} {text} from here"
    where = await look(source, in_thread(lambda: at.where(role, address)), seen.looks, seconds=ASK_SECONDS)
    if where is None or isinstance(where, Unasked):
        seen.looks += [Look(source, where.message, seen=False)] if where else []
        return
    host = await _dial(seen, role, where, text)
    if host is None or not host.certificates or role is not Role.REGISTRY:
        return
    await _issuers(seen, host, address, at.follow)
    asked = await look(
        f"what {text} answers",
        in_thread(lambda: _ask(address, _image(image), at.follow)),
        seen.looks,
        seconds=ASK_SECONDS,
    )
    if asked is not None:
        await _others(seen, host, asked)


async def _issuers(seen: Seen, host: Host, registry: Address, follow: Follow) -> None:
    """Fetch the issuer of the last certificate that was served, where that says where it is, and where it is wanted."""
    urls = published(host.certificates[-1])
    source = f"issuer of {host.address}'s chain"
    if urls and not follow.issuers:
        words = f"not asked: {', '.join(clean(url, _SHOWN) for url in urls)}. --follow-aia asks there"
        seen.looks.append(Look(source, words, seen=False))
        return
    found = await look(
        source,
        in_thread(lambda: [read_any(fetch(url, registry, ISSUER_SECONDS)) for url in urls]),
        seen.looks,
        seconds=ISSUER_SECONDS,
    )
    seen.issuers += [one.der for parsed in found or () for one in parsed.certificates]


async def _dial(seen: Seen, role: Role, where: Address | Target, text: str) -> Host | None:
    served = await look(
        f"{role} {text} from here", in_thread(lambda: dial(where, DIAL_SECONDS)), seen.looks, seconds=DIAL_SECONDS + 1
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
    wanted = []
    for role, one in ((Role.TOKEN_SERVICE, asked.tokens), (Role.BLOB_STORE, asked.blobs)):
        if isinstance(one, Unasked):
            seen.looks.append(Look(f"{role} from here", one.message, seen=False))
        elif one and str(one.address) not in known:
            wanted.append((role, one))
    await together(*(_dial(seen, role, one, str(one.address)) for role, one in wanted))


def _ask(address: Address, image: Image | None, follow: Follow) -> _Answer:
    answer = get(address, "/v2/")
    if isinstance(answer, Failure):
        return _Answer(failure=answer)
    if answer.status not in _API_STATUS:
        words = f"GET https://{address}/v2/ answers {answer.status}; a registry answers 200 or 401"
        return _Answer(failure=Failure("not-a-registry", words))
    tokens = token_service(address, challenge(answer), anywhere=follow.hosts)
    known = tokens if isinstance(tokens, TokenService) else None
    return _Answer(
        scheme=_scheme(answer),
        tokens=known.where
        if known and known.where.address != address
        else tokens
        if isinstance(tokens, Unasked)
        else None,
        blobs=blob_host(address, image, known, anywhere=follow.hosts) if image else None,
        anonymous=manifest_status(address, image, known) if image else 0,
    )


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
