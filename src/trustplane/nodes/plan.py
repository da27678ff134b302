"""What to do on a node so that it has exactly the desired files of ours, and what differs. Pure.

A file is ours if the node's manifest says so; on a node without a manifest, if the bootstrap data wrote it. A file that
has the name and the content of a desired one becomes ours. Any other file is foreign: it is never changed or removed,
whatever its name.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from trustplane.nodes.state import CERTS, NodeFile, NodeReport, TrustManifest


@dataclass(frozen=True)
class FileWrite:
    """A file to be put in place, atomically."""

    path: str
    content: str

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return digest_of(self.content)


@dataclass(frozen=True)
class NodePlan:
    """What to do, in this order; every step can be repeated.

    Attributes:
        intent: Record to write first: all that is or will be ours, so that nothing gets lost in a crash.
        writes: Files to put in place.
        removes: Files to remove; those of certs.d last of all, when containerd has loaded its root pool anew. So an
            entry that is no longer for some registries only is trusted at any moment.
        links: Files that OpenSSL is to find.
        restart: Whether containerd has to load its root pool anew.
        manifest: Record to write last.
        loaded: Digest of the pool that containerd has loaded at the end.
        conflicts: Foreign files in the place of desired ones; with any, nothing may be done.
        token: Of the state that this was made from.
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
    """How a node differs from what it should have, by path.

    Attributes:
        edited: Files of ours with another content.
        removed: Files of ours that are gone.
        replaced: Files of ours that are now a link, a directory or the like.
        outdated: Files of ours that are as we wrote them, but are to be something else, or nothing.
        missing: Desired files that were never there.
        foreign: Files tkg-*.pem that are not ours; they are left alone.
        is_stale: The files are right, but the containerd that runs has not loaded them.
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
        """Whether the node has, and containerd uses, exactly what it should."""
        return not (self.edited or self.removed or self.replaced or self.outdated or self.missing or self.is_stale)


def digest_of(content: str) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(content.encode()).hexdigest()


def pool_digest(files: Mapping[str, str]) -> str:
    """Return one digest for those files, digests by path, that belong to containerd's root pool."""
    lines = sorted(f"{digest}  {path}\n" for path, digest in files.items() if _is_root(path))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def plan_write(desired: Mapping[str, str], state: NodeReport, previous: Mapping[str, str] | None = None) -> NodePlan:
    """Decide what to do.

    Args:
        desired: Content by path: all files that are to be ours, of the certificates' directory and of certs.d. The
            order is kept: a file that names another one comes after it.
        state: The node now.
        previous: Content by path of what the machine's bootstrap data wrote. It counts only on a node without a
            manifest; where it is unknown, files of the bootstrap that are no longer desired stay, as foreign ones.
    """
    ours = managed_files(state, previous)
    digests = {path: digest_of(content) for path, content in desired.items()}
    writes = tuple(
        FileWrite(path, content) for path, content in desired.items() if not _has(state.files.get(path), digests[path])
    )
    conflicts = tuple(one.path for one in writes if one.path in state.files and one.path not in ours)
    removes = _removals(path for path in ours if path not in desired and path in state.files)
    manifest = TrustManifest(digests)
    touched = any(_is_root(path) for path in (*removes, *(one.path for one in writes)))
    restart = touched or (_is_concerned(ours, digests) and not has_loaded_files(state, digests, ours))
    links = _links(digests, {one.path for one in writes}, state)
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
    """Return the files that are ours, with the digest that they should have."""
    if state.manifest is not None:
        return dict(state.manifest.files)
    return {path: digest_of(content) for path, content in (previous or {}).items()}


def find_drift(desired: Mapping[str, str], state: NodeReport, previous: Mapping[str, str] | None = None) -> Drift:
    """Tell how a node differs from what is desired; the arguments are those of `make`."""
    ours, wanted = managed_files(state, previous), {path: digest_of(content) for path, content in desired.items()}
    files = state.files
    kept = {path for path in ours if path in files}
    right = {path for path in wanted if _has(files.get(path), wanted[path])}
    foreign = {path for path in files if _is_root(path)} - ours.keys() - wanted.keys()
    return Drift(
        edited=_sorted(path for path in kept if files[path].is_regular and files[path].digest != ours[path]),
        removed=_sorted(ours.keys() - kept),
        replaced=_sorted(path for path in kept if not files[path].is_regular),
        outdated=_sorted(path for path in kept if _has(files[path], ours[path]) and wanted.get(path) != ours[path]),
        missing=_sorted(wanted.keys() - ours.keys() - right),
        foreign=_sorted(foreign),
        is_stale=right == wanted.keys() and _is_concerned(ours, wanted) and not has_loaded_files(state, wanted, ours),
    )


def _sorted(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(paths))


def _is_concerned(*files: Mapping[str, str]) -> bool:
    # Files of certs.d are read at every pull: a node that has no others does not care what containerd has loaded.
    return any(_is_root(path) for known in files for path in known)


def has_loaded_files(state: NodeReport, digests: Mapping[str, str], ours: Mapping[str, str]) -> bool:
    """Tell whether the containerd that runs uses these files, and none of ours that is gone.

    It reads them once, at its first pull, so that they must have been as they are since it started. That is known of a
    run that we have noted, as long as nobody touched a file since; of another run, if it started after the last change
    (times are in whole seconds: the same one is not after). What the bootstrap wrote was there before the node's first
    pull, though containerd may have started before it.
    """
    runtime = state.runtime
    if not runtime.is_running:
        return False
    changed = {path: file.changed_at for path, file in state.files.items() if _is_root(path)}
    if state.loaded is not None and state.loaded.invocation == runtime.invocation:
        untouched = all(state.loaded.changed_at.get(path) == changed.get(path) for path in digests if _is_root(path))
        return untouched and state.loaded.digest == pool_digest(digests)
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
    # A hosts.toml goes before the file that it names: containerd refuses to pull while that is missing.
    return tuple(sorted(paths, key=lambda path: (not path.endswith("/hosts.toml"), path)))


def _links(digests: Mapping[str, str], written: set[str], state: NodeReport) -> tuple[str, ...]:
    if not state.has_openssl:
        return ()
    roots = (path for path in digests if _is_root(path))
    return tuple(path for path in roots if path in written or path.rpartition("/")[2] not in state.links)


def encode_manifest(manifest: TrustManifest) -> bytes:
    """Return a manifest as it is written to the node."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
