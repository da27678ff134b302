"""Plan the changes that give a node exactly the desired trust files, and describe its drift. Pure.

A file is managed if the node's manifest lists it; on a node without a manifest, if the bootstrap data wrote it. A file
with the name and content of a desired one becomes managed. Every other file is foreign: it is never changed or removed,
regardless of its name.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from trustplane.nodes.state import CERTS, NodeFile, NodeReport, TrustManifest


@dataclass(frozen=True)
class FileWrite:
    """A file to write, atomically."""

    path: str
    content: str

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return digest_of(self.content)


@dataclass(frozen=True)
class NodePlan:
    """The changes to a node, in this order; every step is repeatable.

    Attributes:
        intent: Manifest to write first. It lists all current and future managed files, to lose none in a crash.
        writes: Files to write.
        removes: Files to remove; those of certs.d only after the restart of containerd. An entry whose scope becomes
            node-wide thus stays trusted at every moment.
        links: Files that need a link for OpenSSL.
        restart: Whether containerd must restart, to reload its root pool.
        manifest: Manifest to write last.
        pool_digest: Digest of containerd's root pool at the end.
        conflicts: Foreign files at the paths of desired ones; with any, the plan must not be carried out.
        token: Token of the state that the plan is based on.
        is_needed: Whether the plan changes anything.
    """

    intent: TrustManifest
    writes: tuple[FileWrite, ...]
    removes: tuple[str, ...]
    links: tuple[str, ...]
    restart: bool
    manifest: TrustManifest
    pool_digest: str
    conflicts: tuple[str, ...]
    token: str
    is_needed: bool


@dataclass(frozen=True)
class Drift:
    """The differences between a node's trust files and the desired ones, by path.

    Attributes:
        edited: Managed files whose content another tool changed.
        removed: Managed files that no longer exist.
        replaced: Managed files that another tool replaced by a link or directory.
        outdated: Managed files as Trustplane wrote them, but with other desired content, or no longer desired.
        missing: Desired files that the node never had.
        foreign: Foreign files tkg-*.pem, which stay as they are.
        is_stale: Whether the files are as desired, but the running containerd has not loaded them.
    """

    edited: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    is_stale: bool = False

    @property
    def is_current(self) -> bool:
        """Whether the node has exactly the desired files, and containerd uses them."""
        return not (self.edited or self.removed or self.replaced or self.outdated or self.missing or self.is_stale)


def digest_of(content: str) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(content.encode()).hexdigest()


def pool_digest(files: Mapping[str, str]) -> str:
    """Return one digest for the files of containerd's root pool.

    Args:
        files: Digests by path; files outside the root pool do not count.
    """
    lines = sorted(f"{digest}  {path}\n" for path, digest in files.items() if _is_root(path))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def plan_write(desired: Mapping[str, str], state: NodeReport, previous: Mapping[str, str] | None = None) -> NodePlan:
    """Plan the changes to a node.

    Args:
        desired: Content by path of all desired files, in /etc/ssl/certs and certs.d. Files are written in this order:
            a file that names another one follows it.
        state: The current state of the node.
        previous: Content by path of the files that the machine's bootstrap data wrote. It counts only on a node without
            a manifest; if it is unknown, files of the bootstrap data that are no longer desired stay, as foreign files.
    """
    ours = managed_files(state, previous)
    digests = {path: digest_of(content) for path, content in desired.items()}
    writes = tuple(
        FileWrite(path, content) for path, content in desired.items() if not _has(state.files.get(path), digests[path])
    )
    conflicts = tuple(write.path for write in writes if write.path in state.files and write.path not in ours)
    removes = _removals(path for path in ours if path not in desired and path in state.files)
    manifest = TrustManifest(digests)
    changes_pool = any(_is_root(path) for path in (*removes, *(write.path for write in writes)))
    restart = changes_pool or (_needs_pool(ours, digests) and not has_loaded_files(state, digests, ours))
    links = _links(digests, {write.path for write in writes}, state)
    return NodePlan(
        intent=TrustManifest({**ours, **digests}),
        writes=writes,
        removes=removes,
        links=links,
        restart=restart,
        manifest=manifest,
        pool_digest=pool_digest(digests),
        conflicts=conflicts,
        token=state.token,
        is_needed=bool(writes or removes or links or restart) or state.manifest != manifest,
    )


def managed_files(state: NodeReport, previous: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the digests of the managed files by path, as Trustplane wrote them."""
    if state.manifest is not None:
        return dict(state.manifest.files)
    return {path: digest_of(content) for path, content in (previous or {}).items()}


def find_drift(desired: Mapping[str, str], state: NodeReport, previous: Mapping[str, str] | None = None) -> Drift:
    """Return the drift of a node; the arguments are those of `plan_write`."""
    ours, digests = managed_files(state, previous), {path: digest_of(content) for path, content in desired.items()}
    files = state.files
    kept = {path for path in ours if path in files}
    current = {path for path in digests if _has(files.get(path), digests[path])}
    foreign = {path for path in files if _is_root(path)} - ours.keys() - digests.keys()
    return Drift(
        edited=_sorted(path for path in kept if files[path].is_regular and files[path].digest != ours[path]),
        removed=_sorted(ours.keys() - kept),
        replaced=_sorted(path for path in kept if not files[path].is_regular),
        outdated=_sorted(path for path in kept if _has(files[path], ours[path]) and digests.get(path) != ours[path]),
        missing=_sorted(digests.keys() - ours.keys() - current),
        foreign=_sorted(foreign),
        is_stale=current == digests.keys()
        and _needs_pool(ours, digests)
        and not has_loaded_files(state, digests, ours),
    )


def _sorted(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(paths))


def _needs_pool(*files: Mapping[str, str]) -> bool:
    # containerd reads certs.d at every pull: on a node with no other files, its root pool does not matter.
    return any(_is_root(path) for paths in files for path in paths)


def has_loaded_files(state: NodeReport, digests: Mapping[str, str], ours: Mapping[str, str]) -> bool:
    """Return whether the running containerd uses exactly these files, and no removed ones.

    containerd reads its root pool once, at its first pull: the files must be unchanged since it started. For a run in
    Trustplane's record, this holds if no file has changed since; for any other run, if it started after the last change
    (times are in whole seconds, so an equal time is not after). Files of the bootstrap data precede the node's first
    pull, even if containerd started earlier.
    """
    runtime = state.runtime
    if not runtime.is_running:
        return False
    changed = {path: file.changed_at for path, file in state.files.items() if _is_root(path)}
    if state.loaded is not None and state.loaded.invocation == runtime.invocation:
        is_unchanged = all(state.loaded.changed_at.get(path) == changed.get(path) for path in digests if _is_root(path))
        return is_unchanged and state.loaded.digest == pool_digest(digests)
    if state.manifest is None and _is_as_bootstrapped(state, ours, changed):
        return True
    return runtime.started_at > max([state.certs_changed_at, *changed.values()])


def _is_as_bootstrapped(state: NodeReport, ours: Mapping[str, str], changed: Mapping[str, int]) -> bool:
    roots = [path for path in ours if _is_root(path)]
    return bool(roots) and all(path in changed and changed[path] <= state.bootstrapped_at for path in roots)


def _has(file: NodeFile | None, digest: str) -> bool:
    return file is not None and file.is_regular and file.digest == digest


def _is_root(path: str) -> bool:
    return path.startswith(f"{CERTS}/")


def _removals(paths: Iterable[str]) -> tuple[str, ...]:
    # Remove a hosts.toml before the file that it names: containerd refuses to pull while that file is missing.
    return tuple(sorted(paths, key=lambda path: (not path.endswith("/hosts.toml"), path)))


def _links(digests: Mapping[str, str], written: set[str], state: NodeReport) -> tuple[str, ...]:
    if not state.has_openssl:
        return ()
    roots = (path for path in digests if _is_root(path))
    return tuple(path for path in roots if path in written or path.rpartition("/")[2] not in state.links)


def encode_manifest(manifest: TrustManifest) -> bytes:
    """Return the content of a manifest's file on the node."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
