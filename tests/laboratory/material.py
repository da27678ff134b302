"""What the scenarios are made of: certificates of one owner, trust lists, and the words of runtimes."""

import datetime as dt
from dataclasses import dataclass

from oracle import drafts
from oracle.drafts import Draft
from oracle.encoding import general_name
from oracle.keyring import Key, Keyring
from trustplane.diagnosis.evidence import Case, Disk, Host, ListEntry, NodeRecord, ObservedFrom, TrustList
from trustplane.diagnosis.layer import Role

NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
KEYS = Keyring()
HARBOR, TOKEN, BLOBS, MIRROR = "harbor.corp:8443", "auth.corp", "blobs.corp", "mirror.corp:5000"
UNKNOWN = "x509: certificate signed by unknown authority"
REKEYED = (
    f'{UNKNOWN} (possibly because of "x509: ECDSA verification failure" while trying to verify candidate authority '
    'certificate "Root 0")'
)


class PKI:
    """Root, intermediate and server of one owner, each in the making until `ders` signs them."""

    def __init__(self, first: int = 0, host: str = "harbor.corp", *, label: str = "", keyring: Keyring = KEYS) -> None:
        keys = keyring.usual
        self.root = drafts.ca(label or f"Root {first}", keys[first])
        self.issuing = drafts.ca(f"Issuing {label or first}", keys[first + 1], self.root)
        self.server = drafts.server(keys[first + 2], self.issuing, general_name(host))
        self._made: dict[int, bytes] = {}

    @property
    def key(self) -> Key:
        return self.server.key

    def ders(self, *members: Draft) -> tuple[bytes, ...]:
        """Return certificates, each signed once; without any: what the server sends."""
        return tuple(self._der(one) for one in members or (self.server, self.issuing))

    def _der(self, draft: Draft) -> bytes:
        return self._made.setdefault(id(draft), draft.der)


def listed(owner: str, *ders: bytes, hosts: tuple[str, ...] = ()) -> TrustList:
    """Return a list with one entry for each certificate."""
    return TrustList(owner, tuple(ListEntry(f"ca-{place}", (der,), hosts) for place, der in enumerate(ders)))


def own(*ders: bytes) -> TrustList:
    return listed("the set of cluster team/shop", *ders)


def service(*ders: bytes) -> TrustList:
    return listed("the service's list", *ders)


def other(*ders: bytes) -> TrustList:
    return listed("the set of cluster team/other", *ders)


def host(
    *ders: bytes,
    role: Role = Role.REGISTRY,
    address: str = HARBOR,
    observed_from: ObservedFrom = ObservedFrom.HERE,
    failure: str = "",
) -> Host:
    return Host(role, address, observed_from, ders, failure, failure)


def node(**known: object) -> NodeRecord:
    return NodeRecord(**{"name": "worker-0", **known})  # type: ignore[arg-type]


def disk(
    *ders: bytes, stale: bool | None = False, clock: dt.timedelta | None = None, bad: tuple[str, ...] = ()
) -> Disk:
    roots = {f"/etc/ssl/certs/tkg-ca-{place}.pem": (der,) for place, der in enumerate(ders)}
    return Disk(roots, bad, stale, clock or dt.timedelta())


@dataclass(frozen=True)
class Scenario:
    """One thing is wrong: `truth` is which."""

    name: str
    truth: str
    case: Case


def case(*messages: str, **known: object) -> Case:
    """Return a case of a managed cluster, about an image of the registry."""
    image = str(known.get("image", f"{HARBOR}/team/app:1"))
    usual: dict[str, object] = {
        "now": NOW,
        "image": image,
        "registry": image.partition("/")[0],
        "messages": messages,
        "failed_at": NOW - dt.timedelta(minutes=1),
        "subject": "shop/web-0",
        "cluster": "team/shop",
    }
    return Case(**{**usual, **known})  # type: ignore[arg-type]


def pulling(words: str, image: str = f"{HARBOR}/team/app:1") -> str:
    """What the kubelet of Kubernetes 1.3x says with containerd 2.x."""
    return (
        f'Failed to pull image "{image}": failed to pull and unpack image "{image}": '
        f'failed to resolve reference "{image}": {words}'
    )


def head(words: str, address: str = HARBOR, path: str = "/v2/team/app/manifests/1") -> str:
    """A request for a manifest that failed."""
    return pulling(f'failed to do request: Head "https://{address}{path}": {words}')


def tls(words: str = UNKNOWN, address: str = HARBOR) -> str:
    return head(f"tls: failed to verify certificate: {words}", address)
