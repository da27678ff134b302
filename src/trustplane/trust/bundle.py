"""The text of key `bundle.pem` of Secret `<cluster>-trust`: all that a machine needs of a set when it boots. Pure.

    trustplane-set-<digest of the set>
    trustplane-partial                      where not all entries are in it
    trustplane-file <path>                  before the content of each file; what names others comes after them
    ...
    trustplane-end

Cluster API copies it into a machine's bootstrap data, and `nodes/unpack.sh` reads it on the machine. The first line has
only characters that no format escapes, so that it is found there. Tenants may write Secrets and bootstrap data: what is
read here counts only if `render` could have written it.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from trustplane.api.annotations import REGISTRY_SCOPE
from trustplane.api.configuration import TrustedCA
from trustplane.api.limits import MAX_ENTRIES
from trustplane.trust import scope
from trustplane.trust.entries import Entry, TrustSet
from trustplane.trust.places import files, hosts_by_name, place

KEY: Final = "bundle.pem"
MAX_LENGTH: Final = 1 << 20  # of a Secret, and so of what is read

_SET: Final = "trustplane-set-"
_PARTIAL: Final = "trustplane-partial\n"
_FILE: Final = "trustplane-file "
_END: Final = "trustplane-end\n"
_HEAD: Final = re.compile(rf"{_SET}([0-9a-f]{{64}})\n")
_NEAR: Final = 64  # characters: an end of line, encoded or not, the indentation, and the mark of a partial text
_MARK: Final = re.compile(rf"{_SET}([0-9a-f]{{64}})(?![0-9a-f])")

# Bytes of the text. Bootstrap data is a Secret of 1 MiB: Ignition's percent-encoding makes a tenth more of PEM.
EVERYTHING: Final = 750_000
# Each Machine's bootstrap Secret keeps it in etcd for the Machine's life: 4,000 nodes take 130 MB.
DEFAULT: Final = 24_000
# What user data of a control plane machine has room for beside 16 KB of Cluster API's and the script, by the kind of
# the Cluster's infrastructure. Whoever has other limits says so: the kind does not tell how user data gets there.
BUDGETS: Final[Mapping[str, int]] = MappingProxyType(
    {
        # Gzipped, in parts of 7,000 bytes in Secrets Manager (CAPA, secretsmanager/secret.go). Not with
        # `insecureSkipSecretsManager`: EC2 takes 16,384 bytes, which is too little for anything.
        "AWSCluster": EVERYTHING,
        # 87,380 characters of base64, not compressed (CAPZ, virtualmachines/spec.go; aks-engine 1663).
        "AzureCluster": 32_000,
        # 32 KB, gzipped.
        "CloudStackCluster": 12_000,
        # 32 KB.
        "HetznerCluster": 6_000,
        # 65,535 characters of base64, not compressed (CAPO, openstackserver_controller.go; Nova's limit).
        "OpenStackCluster": 20_000,
        # 64 KiB of base64 as one value of guestinfo (CAPV, extra/config.go; vm-operator 148).
        "VSphereCluster": 20_000,
        # Containers: what the provider runs has no limit of its own.
        "DevCluster": EVERYTHING,
        "DockerCluster": EVERYTHING,
        "LocalCluster": EVERYTHING,
    }
)


@dataclass(frozen=True)
class Bundle:
    """What a text says.

    Attributes:
        digest: Of the whole set, 64 hexadecimal digits.
        is_partial: Not all entries of the set are in it. Then nothing but the text of the manager itself tells whether
            those that are in it belong to the set: compare with `render`.
        trust: The entries that are in it.
    """

    digest: str
    is_partial: bool
    trust: TrustSet

    @property
    def files(self) -> dict[str, str]:
        """Content by path of what a machine has after it has unpacked this."""
        return files(self.trust)


def budget_of(infrastructure_kind: str) -> int:
    """Return how many bytes the text may have, by the kind of the Cluster's infrastructure, such as `AWSCluster`."""
    return BUDGETS.get(infrastructure_kind, DEFAULT)


def render(trust: TrustSet, budget_bytes: int) -> str:
    """Return the text of a set: all of it where that fits, else what fits, in order, and the mark of that.

    Entries for single registries come first: somebody has said that a registry needs them. Then the order is the set's.
    An entry that is too long is passed over, so that it does not keep out all that come after it.
    """
    whole = _text(trust.digest, trust)
    if len(whole) <= budget_bytes or not trust.entries:
        return whole
    return _text(trust.digest, _fitting(trust, budget_bytes), _PARTIAL)


def read(text: str) -> Bundle | None:
    """Read a text; None where `render` would not have written it."""
    if len(text) > MAX_LENGTH or not text.isascii() or text.count(f"\n{_FILE}") > MAX_ENTRIES:
        return None
    head = _HEAD.match(text)
    if head is None:
        return None
    is_partial = text.startswith(_PARTIAL, head.end())
    trust = _trust(text)
    if trust is None or not (is_partial or trust.digest == head[1]):
        return None
    is_ours = text == _text(head[1], trust, _PARTIAL if is_partial else "")
    return Bundle(head[1], is_partial, trust) if is_ours else None


def digest_in(data: bytes | str) -> str | None:
    """Return the digest of the set that bootstrap data of any format carries; None where it carries none."""
    text = data if isinstance(data, str) else data[:MAX_LENGTH].decode("ascii", "replace")
    found = _MARK.search(text, 0, MAX_LENGTH)
    return found[1] if found else None


def is_partial_in(data: bytes | str) -> bool:
    """Tell whether bootstrap data of any format carries a part of a set only."""
    text = data if isinstance(data, str) else data[:MAX_LENGTH].decode("ascii", "replace")
    found = _MARK.search(text, 0, MAX_LENGTH)
    return found is not None and _PARTIAL.strip() in text[found.end() : found.end() + _NEAR]


def _text(digest: str, trust: TrustSet, mark: str = "") -> str:
    parts = (f"{_FILE}{path}\n{content}" for path, content in files(trust).items())
    return f"{_SET}{digest}\n{mark}{''.join(parts)}{_END}"


def _fitting(trust: TrustSet, budget_bytes: int) -> TrustSet:
    chosen: list[Entry] = []
    for entry in _by_importance(trust.entries):
        if len(_text(trust.digest, TrustSet((*chosen, entry)), _PARTIAL)) <= budget_bytes:
            chosen.append(entry)
    return TrustSet(tuple(chosen))


def _by_importance(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: not entry.hosts)


def _trust(text: str) -> TrustSet | None:
    """Return the entries of the files of a text, whatever else it says."""
    contents = {found: content for path, content in _parts(text) if (found := place(path))}
    hosts = {name: found for name, found in hosts_by_name(contents).items() if found}
    data = {one.name: base64.b64encode(content.encode()).decode() for one, content in contents.items()}
    listed = [TrustedCA(name=name, data=each) for name, each in data.items()]
    reading = scope.read(listed, {REGISTRY_SCOPE: scope.text(hosts)}, where="bundle")
    return reading.trust if reading.ok else None


def _parts(text: str) -> Iterator[tuple[str, str]]:
    for part in text.removesuffix(f"\n{_END}").split(f"\n{_FILE}")[1:]:
        path, _, content = part.partition("\n")
        yield path, f"{content}\n"
