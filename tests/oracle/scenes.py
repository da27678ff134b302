"""Random scenes: a trust list, a served chain, a host and a time, with none to several defects."""

# ruff: noqa: S311 - a generator of test data must be repeatable
import datetime as dt
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from oracle import drafts
from oracle.drafts import Draft
from oracle.encoding import general_name
from oracle.keyring import Key, Keyring

HOSTS = ("harbor.corp.example", "registry", "a.b.registry.internal", "reg_1.lab.test", "192.0.2.10", "2001:db8::10")
ODD_HOSTS = (
    "HARBOR.Corp.Example",
    "harbor.corp.example.",
    "[2001:db8::10]",
    "[192.0.2.10]",
    "::ffff:192.0.2.10",
    "2001:DB8:0::10",
    "192.0.2.010",
    "fe80::1%eth0",
    "*.corp.example",
    "bad..name",
    "-a.example",
    "harbor.corp.example:443",
    "ünïcode.example",
    "[]",
    ".",
    "..",
    "*",
    "a",
    "",
    "1.2.3",
    "0x7f.1",
    "xn--nxasmq6b.example",
    "harbor.corp.example..",
)
AT = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)


@dataclass
class Scene:
    """A case under construction. `path` is the intended chain, root first."""

    random: random.Random
    keys: Keyring
    host: str = ""
    at: dt.datetime = AT
    path: list[Draft] = field(default_factory=list)
    trust: list[Draft | bytes] = field(default_factory=list)
    served: list[Draft | bytes] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)

    @property
    def root(self) -> Draft:
        return self.path[0]

    @property
    def leaf(self) -> Draft:
        return self.path[-1]

    @property
    def authorities(self) -> list[Draft]:
        return self.path[:-1]

    def any(self) -> Draft:
        return self.random.choice(self.path)

    def authority(self) -> Draft:
        return self.random.choice(self.authorities)

    def intermediate(self) -> Draft:
        return self.random.choice(self.path[1:-1] or [self.leaf])

    def any_or_leaf(self) -> Draft:
        return self.leaf if self.random.random() < 0.8 else self.any()

    def key(self) -> Key:
        return self.random.choice(self.keys.usual)

    def rekey(self, draft: Draft, key: Key) -> None:
        """Give a certificate another key, and use it for everything the certificate signs."""
        for child in self.path:
            if child.signer is draft.key:
                child.signer = key
        draft.key = key


@dataclass(frozen=True)
class Case:
    """A case for the oracle; all certificates in DER."""

    served: list[bytes]
    trust: list[bytes]
    host: str
    at: dt.datetime
    defects: tuple[str, ...]


Defect = Callable[[Scene], None]


def build_good_chain(scene: Scene) -> None:
    """Build a good chain: a root, up to three intermediates, a server certificate for the host."""
    rng = scene.random
    scene.host = rng.choice(HOSTS)
    keys = rng.sample(scene.keys.usual, 6)
    scene.path = [drafts.ca("Root 0", keys[0])]
    for level in range(rng.choice((0, 1, 1, 1, 2, 3))):
        scene.path.append(drafts.ca(f"Issuing {level}", keys[level + 1], scene.path[-1]))
    scene.path.append(drafts.server(keys[5], scene.path[-1], general_name(scene.host)))
    scene.trust = [scene.root]
    scene.served = [scene.leaf, *reversed(scene.path[1:-1])]


def generate(seed: int, keys: Keyring, defects: dict[str, Defect]) -> Case:
    """Generate the case of a seed: usually one or two defects, sometimes none or many."""
    rng = random.Random(seed)
    scene = Scene(rng, keys)
    build_good_chain(scene)
    for _ in range(rng.choices((0, 1, 2, 3, 5), (5, 45, 30, 15, 5))[0]):
        name = rng.choice(list(defects))
        defects[name](scene)
        scene.defects.append(name)
    signed: dict[int, bytes] = {}  # signing a draft twice gives two different certificates
    return Case(_ders(scene.served, signed), _ders(scene.trust, signed), scene.host, scene.at, tuple(scene.defects))


def _ders(items: list[Draft | bytes], signed: dict[int, bytes]) -> list[bytes]:
    ders = []
    for item in items:
        if isinstance(item, Draft) and id(item) not in signed:
            signed[id(item)] = item.der
        ders.append(item if isinstance(item, bytes) else signed[id(item)])
    return ders
