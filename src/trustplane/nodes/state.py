"""What a node's trust looks like now, as `trust.sh` reports it. Pure."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from trustplane.errors import NodeError
from trustplane.text import clean
from trustplane.trust import places

CERTS: Final = places.CERTS  # Go, and so containerd, reads every file of it, whatever its name
HOSTS: Final = places.HOSTS
MANIFEST: Final = "/etc/trustplane/trust.json"
REGULAR: Final = ("regular file", "regular empty file")

# What a node says is its owner's. A node with 200 files of ours has a report of some 500 lines, and a record of 30 KiB.
_MAX_LINES: Final = 20_000
_MAX_RECORD: Final = 1 << 20  # characters, in base64
_MAX_DIGITS: Final = 15  # of a number: a time in seconds has ten
_SHOWN: Final = 200  # characters of a report that is not whole


class TrustManifest(msgspec.Struct, frozen=True):
    """The node's own record of which files are ours: SHA-256 by path."""

    files: dict[str, str]
    version: int = 1


@dataclass(frozen=True)
class NodeFile:
    """One file that is or may be ours.

    Attributes:
        digest: SHA-256 of the content, in hexadecimal; empty where it cannot be read as a file.
        changed: Time of the last change of content, name or rights, in seconds since 1970.
        is_regular: Not a link, a directory or anything else.
    """

    digest: str
    changed_at: int
    is_regular: bool = True


@dataclass(frozen=True)
class LoadedFiles:
    """What a run of containerd has loaded, as was noted at the end of the last change.

    Attributes:
        digest: Of our files of the root pool, see `plan.pool_digest`.
        invocation: Which run.
        changed: When each file tkg-*.pem was last changed, by path: a file that was edited and restored since shows.
    """

    digest: str
    invocation: str
    changed_at: Mapping[str, int]


@dataclass(frozen=True)
class RuntimeRun:
    """The run of containerd.

    Attributes:
        active: systemd's ActiveState, `absent` where there is no such unit.
        invocation: systemd's identity of this run.
        started: When, in seconds since 1970; 0 where it does not run.
    """

    active_state: str
    invocation: str
    started_at: int

    @property
    def is_running(self) -> bool:
        """Whether it serves, as far as systemd knows."""
        return self.active_state == "active"


@dataclass(frozen=True)
class NodeReport:
    """A node's trust.

    Attributes:
        files: Every file `tkg-*.pem` of the certificates' directory and every file under certs.d, by path.
        manifest: Our record; None on a node where nothing was changed in place yet.
        links: Names of files `tkg-*.pem` that OpenSSL finds.
        has_openssl: Whether there is anybody to find them.
        certs_changed: When a name was last added to or removed from the certificates' directory, by anybody.
        bootstrapped: When the machine became a node, in seconds since 1970; 0 where that is not known, such as after a
            reboot.
        token: Stands for the files and the manifest: a change is refused where it no longer fits.
    """

    files: Mapping[str, NodeFile]
    manifest: TrustManifest | None
    runtime: RuntimeRun
    loaded: LoadedFiles | None
    links: frozenset[str]
    has_openssl: bool
    certs_changed_at: int
    bootstrapped_at: int
    kubelet_state: str
    token: str


def parse_node_report(report: str) -> NodeReport:
    """Read the report of `trust.sh`.

    Raises:
        NodeError: It is not one, or the manifest on the node cannot be read.
    """
    if report.count("\n") > _MAX_LINES:
        raise _not_whole(f"it has more than {_MAX_LINES} lines")
    values: dict[str, str] = {}
    stats: dict[str, tuple[int, str]] = {}
    sums: dict[str, str] = {}
    links: set[str] = set()
    for verb, rest in _lines(report):
        if verb == "stat":
            about, _, path = rest.partition("|")
            time, _, kind = about.partition(" ")
            stats[path] = (_number(time), kind)
        elif verb == "sum":
            digest, _, path = rest.partition("  ")
            sums[path] = digest
        elif verb == "link":
            links.add(rest)
        else:
            values[verb] = rest
    if "token" not in values or "kubelet" not in values:
        raise _not_whole(clean(report.strip()[-_SHOWN:], _SHOWN) or "it is empty")
    return NodeReport(
        files={path: NodeFile(sums.get(path, ""), time, kind in REGULAR) for path, (time, kind) in stats.items()},
        manifest=_manifest(values.get("manifest", "")),
        runtime=_runtime(values.get("runtime", "")),
        loaded=_loaded(values.get("marker", "")),
        links=frozenset(links),
        has_openssl="openssl" in values,
        certs_changed_at=_number(values.get("certs", "")),
        bootstrapped_at=_number(values.get("bootstrapped", "")),
        kubelet_state=values["kubelet"],
        token=values["token"],
    )


def _not_whole(why: str) -> NodeError:
    return NodeError(
        "The node's report of its trust is not whole",
        why=why,
        next_step="See that sudo without a password, coreutils, flock and systemctl are there",
    )


def _lines(report: str) -> Iterator[tuple[str, str]]:
    for line in report.split("\n"):
        verb, _, rest = line.partition(" ")
        yield verb, rest


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) <= _MAX_DIGITS else 0


def _manifest(encoded: str) -> TrustManifest | None:
    if not encoded:
        return None
    try:
        return msgspec.json.decode(_decoded(encoded), type=TrustManifest)
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise NodeError(
            f"The node's record {MANIFEST} of our files cannot be read",
            why=clean(str(error), _SHOWN),
            next_step="Restore it; or delete it together with the files tkg-*.pem that it is about",
        ) from error


def _decoded(encoded: str) -> bytes:
    if len(encoded) > _MAX_RECORD:
        raise ValueError("it is too long")
    return base64.b64decode(encoded)


def _runtime(text: str) -> RuntimeRun:
    active, invocation, started = [*text.split(" "), "", ""][:3]
    return RuntimeRun(active or "absent", invocation, _number(started))


def _loaded(encoded: str) -> LoadedFiles | None:
    # Only a hint: what cannot be read costs a restart of containerd.
    try:
        first, *rest = _decoded(encoded).decode().splitlines()
    except ValueError:  # of base64, of the encoding, of nothing at all
        return None
    digest, _, invocation = first.partition(" ")
    times = (line.partition(" ") for line in rest)
    return LoadedFiles(digest, invocation, {path: _number(time) for time, _, path in times}) if invocation else None
