"""The state of a node's trust files and runtime, parsed from the report of `trust.sh`. Pure."""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from trustplane.errors import NodeError
from trustplane.text import clean
from trustplane.trust import node_files

CERTS: Final = (
    node_files.SYSTEM_CERTS_DIRECTORY
)  # Go, and therefore containerd, reads every file in it, regardless of its name
HOSTS: Final = node_files.CONTAINERD_CERTS_DIRECTORY
MANIFEST: Final = "/etc/trustplane/trust.json"
REGULAR: Final = ("regular file", "regular empty file")

# A tenant controls the report. For 200 managed files it has some 500 lines, and the manifest 30 KiB.
_MAX_LINES: Final = 20_000
_MAX_RECORD: Final = 1 << 20  # characters, in base64
_MAX_DIGITS: Final = 15  # of a number: a time in seconds has ten
_MAX_EXCERPT: Final = 200  # characters of a report or parser's message, quoted in an error


class TrustManifest(msgspec.Struct, frozen=True):
    """The record, on the node, of the managed files: SHA-256 by path."""

    files: dict[str, str]
    version: int = 1


@dataclass(frozen=True)
class NodeFile:
    """A file on the node in a directory of trust files, managed or foreign.

    Attributes:
        digest: SHA-256 of the content, in hexadecimal; empty if it cannot be read as a file.
        changed: Time of the last change of content, name or rights, in seconds since 1970.
        is_regular: Whether it is a regular file, not a link or directory.
    """

    digest: str
    changed_at: int
    is_regular: bool = True


@dataclass(frozen=True)
class LoadedFiles:
    """The trust files that a run of containerd has loaded, as recorded at the end of the last write.

    Attributes:
        digest: Digest of the managed files in the root pool, see `plan.pool_digest`.
        invocation: systemd's identity of the run.
        changed: Time of the last change of each file tkg-*.pem, by path. It reveals a file edited and restored since.
    """

    digest: str
    invocation: str
    changed_at: Mapping[str, int]


@dataclass(frozen=True)
class RuntimeRun:
    """The current run of containerd.

    Attributes:
        active: systemd's ActiveState; `absent` without such a unit.
        invocation: systemd's identity of this run.
        started: Start time in seconds since 1970; 0 if it does not run.
    """

    active_state: str
    invocation: str
    started_at: int

    @property
    def is_running(self) -> bool:
        """Whether systemd reports it as active."""
        return self.active_state == "active"


@dataclass(frozen=True)
class NodeReport:
    """The state of a node's trust files and runtime.

    Attributes:
        files: All files `tkg-*.pem` in /etc/ssl/certs, and all files under certs.d, by path.
        manifest: The record of the managed files; None before the first write in place.
        runtime: The current run of containerd.
        loaded: The record of the files that containerd has loaded; None without a readable one.
        links: Names of the files `tkg-*.pem` that have a link for OpenSSL.
        has_openssl: Whether the node has OpenSSL.
        certs_changed: Time when a name was last added to or removed from /etc/ssl/certs, in seconds since 1970.
        bootstrapped: Time when the machine became a node, in seconds since 1970; 0 if unknown, as after a reboot.
        kubelet: systemd's ActiveState of the kubelet.
        token: Identifies the state of files and manifest: `trust.sh` refuses a plan with an outdated token.
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
    """Parse the report of `trust.sh`.

    Raises:
        NodeError: The text is no complete report, or the node's manifest cannot be parsed.
    """
    if report.count("\n") > _MAX_LINES:
        raise _incomplete(f"it has more than {_MAX_LINES} lines")
    values: dict[str, str] = {}
    stats: dict[str, tuple[int, str]] = {}
    sums: dict[str, str] = {}
    links: set[str] = set()
    for verb, rest in _lines(report):
        if verb == "stat":
            attributes, _, path = rest.partition("|")
            time, _, kind = attributes.partition(" ")
            stats[path] = (_number(time), kind)
        elif verb == "sum":
            digest, _, path = rest.partition("  ")
            sums[path] = digest
        elif verb == "link":
            links.add(rest)
        else:
            values[verb] = rest
    if "token" not in values or "kubelet" not in values:
        raise _incomplete(clean(report.strip()[-_MAX_EXCERPT:], _MAX_EXCERPT) or "it is empty")
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


def _incomplete(why: str) -> NodeError:
    return NodeError(
        "The node's report of its trust files is incomplete",
        why=why,
        next_step="Check that the node has coreutils, flock, systemctl and sudo without a password",
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
            f"The node's record {MANIFEST} of its trust files cannot be parsed",
            why=clean(str(error), _MAX_EXCERPT),
            next_step="Restore it, or delete it together with the files tkg-*.pem that it lists",
        ) from error


def _decoded(encoded: str) -> bytes:
    if len(encoded) > _MAX_RECORD:
        raise ValueError("it is too long")
    return base64.b64decode(encoded)


def _runtime(text: str) -> RuntimeRun:
    active, invocation, started = [*text.split(" "), "", ""][:3]
    return RuntimeRun(active or "absent", invocation, _number(started))


def _loaded(encoded: str) -> LoadedFiles | None:
    # An unreadable record costs only a restart of containerd.
    try:
        first, *rest = _decoded(encoded).decode().splitlines()
    except ValueError:  # no base64, no UTF-8, or empty
        return None
    digest, _, invocation = first.partition(" ")
    times = (line.partition(" ") for line in rest)
    return LoadedFiles(digest, invocation, {path: _number(time) for time, _, path in times}) if invocation else None
