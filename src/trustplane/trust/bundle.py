"""The bundle: a trust set as one text, in key `bundle.pem` of Secret `<cluster>-trust`. Pure.

    trustplane-set-<digest of the set>
    trustplane-partial                      if entries are missing
    trustplane-file <path>                  before the content of each file; hosts.toml files come last
    ...
    trustplane-end

Cluster API copies the bundle into a machine's bootstrap data, and `nodes/unpack.sh` reads it on the machine. No format
of bootstrap data escapes a character of the first line, which makes the digest searchable there. Tenants may write
Secrets and bootstrap data: `read` accepts only a text that `render` could have written.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from trustplane.api.limits import MAX_ENTRIES
from trustplane.trust.entries import TrustListEntry, TrustSet
from trustplane.trust.memory import ListCache
from trustplane.trust.node_files import parse_certificate_path, render_files, scopes_by_name

BUNDLE_KEY: Final = "bundle.pem"
MAX_BUNDLE_LENGTH: Final = 1 << 20  # characters; the limit of a Secret

_SET: Final = "trustplane-set-"
_PARTIAL: Final = "trustplane-partial\n"
_FILE: Final = "trustplane-file "
_END: Final = "trustplane-end\n"
_HEAD: Final = re.compile(rf"{_SET}([0-9a-f]{{64}})\n")
_NEAR: Final = 64  # characters: a line end, encoded or not, the indentation, and the mark of a partial bundle
_MARK: Final = re.compile(rf"{_SET}([0-9a-f]{{64}})(?![0-9a-f])")

# Bytes of the bundle. Bootstrap data is a Secret of at most 1 MiB; Ignition's percent-encoding makes PEM 10% longer.
MAX_BUDGET_BYTES: Final = 750_000
# etcd stores each Machine's bootstrap Secret for the Machine's lifetime: 4,000 nodes take 130 MB.
DEFAULT_BUDGET_BYTES: Final = 24_000
# Free space in the user data of a control plane machine, besides 16 KB of Cluster API's data and the script, by
# infrastructure kind. Users can set another limit: the kind does not determine how a provider transports user data.
BUDGET_BYTES_BY_KIND: Final[Mapping[str, int]] = MappingProxyType(
    {
        # Gzipped, in parts of 7,000 bytes in Secrets Manager (CAPA, secretsmanager/secret.go). Not with
        # `insecureSkipSecretsManager`: EC2 accepts only 16,384 bytes, too few for any bundle.
        "AWSCluster": MAX_BUDGET_BYTES,
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
        # Containers: these providers have no limit.
        "DevCluster": MAX_BUDGET_BYTES,
        "DockerCluster": MAX_BUDGET_BYTES,
        "LocalCluster": MAX_BUDGET_BYTES,
    }
)

_MEMORY: ListCache["Bundle | None"] = ListCache()


@dataclass(frozen=True)
class Bundle:
    """A parsed bundle.

    Attributes:
        digest: Of the whole set, 64 hexadecimal digits.
        is_partial: Whether entries of the set are missing. The digest then does not verify the others: compare the
            bundle with the result of `render_bundle`.
        trust: The entries in the bundle.
    """

    digest: str
    is_partial: bool
    trust: TrustSet

    @property
    def files(self) -> dict[str, str]:
        """Content by path of the files that a machine unpacks."""
        return render_files(self.trust)


def bundle_budget_bytes(infrastructure_kind: str) -> int:
    """Return the limit of a bundle in bytes, by the kind of the Cluster's infrastructure, such as `AWSCluster`."""
    return BUDGET_BYTES_BY_KIND.get(infrastructure_kind, DEFAULT_BUDGET_BYTES)


def render_bundle(trust: TrustSet, budget_bytes: int) -> str:
    """Return the bundle of a set; if the set exceeds the budget, a partial bundle of the entries that fit.

    Registry-scoped entries have priority, because a user stated that a registry needs them; then the set's order
    counts. An entry that exceeds the rest of the budget is skipped, and the next ones may still fit.
    """
    whole = _text(trust.digest, trust)
    if len(whole) <= budget_bytes or not trust.entries:
        return whole
    return _text(trust.digest, _fitting(trust, budget_bytes), _PARTIAL)


def parse_bundle(text: str) -> Bundle | None:
    """Parse a bundle; return None if `render` would not have written it."""
    if len(text) > MAX_BUNDLE_LENGTH or not text.isascii() or text.count(f"\n{_FILE}") > MAX_ENTRIES:
        return None
    head = _HEAD.match(text)
    if head is None:
        return None
    digest, is_partial = head[1], text.startswith(_PARTIAL, head.end())
    return _MEMORY.get_or_parse([text], lambda: _parse(text, digest, is_partial=is_partial))


def _parse(text: str, digest: str, *, is_partial: bool) -> Bundle | None:
    trust = _trust(text)
    if trust is None or not (is_partial or trust.digest == digest):
        return None
    is_canonical = text == _text(digest, trust, _PARTIAL if is_partial else "")
    return Bundle(digest, is_partial, trust) if is_canonical else None


def find_bundle_digest(data: bytes | str) -> str | None:
    """Return the digest of the bundle in bootstrap data of any format; None without a bundle."""
    text = data if isinstance(data, str) else data[:MAX_BUNDLE_LENGTH].decode("ascii", "replace")
    match = _MARK.search(text, 0, MAX_BUNDLE_LENGTH)
    return match[1] if match else None


def has_partial_bundle(data: bytes | str) -> bool:
    """Return whether bootstrap data of any format contains a partial bundle."""
    text = data if isinstance(data, str) else data[:MAX_BUNDLE_LENGTH].decode("ascii", "replace")
    match = _MARK.search(text, 0, MAX_BUNDLE_LENGTH)
    return match is not None and _PARTIAL.strip() in text[match.end() : match.end() + _NEAR]


def _text(digest: str, trust: TrustSet, mark: str = "") -> str:
    parts = (f"{_FILE}{path}\n{content}" for path, content in render_files(trust).items())
    return f"{_SET}{digest}\n{mark}{''.join(parts)}{_END}"


def _fitting(trust: TrustSet, budget_bytes: int) -> TrustSet:
    chosen: list[TrustListEntry] = []
    for entry in _by_importance(trust.entries):
        if len(_text(trust.digest, TrustSet((*chosen, entry)), _PARTIAL)) <= budget_bytes:
            chosen.append(entry)
    return TrustSet(tuple(chosen))


def _by_importance(entries: Iterable[TrustListEntry]) -> list[TrustListEntry]:
    return sorted(entries, key=lambda entry: not entry.scope)


def _trust(text: str) -> TrustSet | None:
    """Return the entries of a bundle's certificate files; ignore its other files."""
    contents = {file: content for path, content in _parts(text) if (file := parse_certificate_path(path))}
    hosts = {name: scoped for name, scoped in scopes_by_name(contents).items() if scoped}
    trust = TrustSet.from_pem({file.name: content for file, content in contents.items()})
    return trust.with_scopes(hosts) if trust is not None else None


def _parts(text: str) -> Iterator[tuple[str, str]]:
    for part in text.removesuffix(f"\n{_END}").split(f"\n{_FILE}")[1:]:
        path, _, content = part.partition("\n")
        yield path, f"{content}\n"
