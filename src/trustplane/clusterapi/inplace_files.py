"""Trust files in a KubeadmConfig and in bootstrap data: which are ours, and what they hold.

Source: sigs.k8s.io/cluster-api v1.14.2, api/bootstrap/kubeadm/v1beta2 (File) and bootstrap/kubeadm/pkg/cloudinit.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from trustplane.api.meta import Json
from trustplane.clusterapi.bootstrap_data import WrittenFile, written_files
from trustplane.errors import TransientError, UserError
from trustplane.trust.places import is_our_toml, place

_BASE64: Final = "base64"
_FIELDS: Final = frozenset({"path", "owner", "permissions", "encoding", "content", "contentFrom"})


@dataclass(frozen=True)
class TrustFile:
    """A trust file as a KubeadmConfig names it.

    Attributes:
        path: On the node, see `trust.places`.
        secret: Name of the Secret in the machine's namespace that has the content; empty where it is inline.
        key: Key in the Secret.
        content: Inline content.
        is_base64: The content, wherever it is, is base64 of what belongs into the file.
    """

    path: str
    secret: str = ""
    key: str = ""
    content: str = ""
    is_base64: bool = False


def trust_file(file: Json) -> TrustFile | None:
    """Read one of a KubeadmConfig's `files`; None where it is not a trust file such as Trustplane writes.

    A file at one of our paths that is to be appended to, has another owner or is a template is not: what it asks for is
    not what an update in place does.
    """
    path = file.get("path", "")
    if not _is_ours(path, file.get("content")) or not file.keys() <= _FIELDS:
        return None
    if (file.get("owner"), file.get("permissions")) != ("root:root", "0644"):
        return None
    if file.get("encoding", "") not in ("", _BASE64):
        return None
    source = (file.get("contentFrom") or {}).get("secret") or {}
    return TrustFile(
        path=path,
        secret=source.get("name", ""),
        key=source.get("key", ""),
        content=file.get("content", ""),
        is_base64=file.get("encoding") == _BASE64,
    )


def _is_ours(path: Any, content: Any) -> bool:
    # The name of a hosts.toml is containerd's: only its content tells whose it is.
    return isinstance(path, str) and (
        place(path) is not None or is_our_toml(path, content if isinstance(content, str) else "")
    )


def contents(files: Iterable[TrustFile], secrets: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return what belongs into each file, by path.

    Args:
        files: Of one machine.
        secrets: `data` of the Secrets that the files name, by name; values are base64, as on the wire.

    Raises:
        TransientError: A Secret, or a key of it, is not there. Nothing may be concluded from a part of the set.
        UserError: A content is not text, or not the base64 that it says it is.
    """
    return {file.path: _content(file, secrets) for file in files}


def _content(file: TrustFile, secrets: Mapping[str, Mapping[str, str]]) -> str:
    if not file.secret:
        return _decoded(file, file.content.encode())
    data = secrets.get(file.secret, {}).get(file.key)
    if data is None:
        raise TransientError(
            f"Secret {file.secret} has no key {file.key}",
            why=f"file {file.path} is made of it",
            next_step="It is tried again by itself; see who deleted the Secret if this lasts",
        )
    return _decoded(file, base64.b64decode(data))


def _decoded(file: TrustFile, data: bytes) -> str:
    try:
        return (base64.b64decode(data) if file.is_base64 else data).decode()
    except ValueError as error:
        raise UserError(
            f"The content of file {file.path} cannot be read",
            why="it is not base64 of text" if file.is_base64 else "it is not text",
            next_step=f"Correct key {file.key} of Secret {file.secret}",
        ) from error


def bootstrap_files(user_data: bytes) -> dict[str, str] | None:
    """Return the trust files that a machine's bootstrap data wrote, by path.

    A machine that was never updated in place has no other record of which files are ours.

    Args:
        user_data: Key `value` of the Secret that `spec.bootstrap.dataSecretName` of the Machine names.

    Returns:
        None where it is not the kubeadm provider's (Ignition, or changed by another provider).
    """
    written = written_files(user_data)
    if written is None:
        return None
    return {one.path: _written(one) for one in written if _is_ours(one.path, one.content)}


def _written(file: WrittenFile) -> str:
    """Return what is in a file of ours; empty where that is packed or cannot be read, for ours never is."""
    if not file.encoding:
        return file.content
    try:
        return base64.b64decode(file.content).decode() if file.encoding == _BASE64 else ""
    except ValueError:  # of base64 or of the encoding
        return ""
