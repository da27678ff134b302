"""Resources and keys: a kind's place in the API, an object's name within its kind."""

from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from trustplane.api.meta import Metadata
from trustplane.kube.errors import MAX_MESSAGE, UnreadableError
from trustplane.text import clean

T = TypeVar("T")


class Key(NamedTuple):
    """An object's name within its kind; `namespace` is empty for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """`namespace/name`, or the bare name of a cluster-scoped object."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True)
class Resource(Generic[T]):
    """A kind served by an API server, and the type its objects decode to.

    Args:
        group: API group; empty for the core group.
        version: such as `v1beta2`.
        kind: such as `Cluster`.
        plural: lower-case plural of the paths, such as `clusters`.
        type: a Struct (usually an `api.meta.Object`), or `dict` for untyped objects.
        namespaced: whether objects live in namespaces.
    """

    group: str
    version: str
    kind: str
    plural: str
    type: type[T]
    namespaced: bool = True

    def __str__(self) -> str:
        """`plural.group`, as kubectl names it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """`group/version`, or the bare version of the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Build the URL path of one object, of a collection, or (without namespace) of all namespaces' collections."""
        parts = ["apis" if self.group else "api", self.api_version]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts += [part for part in (self.plural, quote(name, safe=""), subresource) if part]
        return "/" + "/".join(parts)

    def decode(self, data: bytes | msgspec.Raw) -> T:
        """Decode one object; fill in `apiVersion` and `kind`, which lists of built-in kinds omit.

        Raises:
            UnreadableError: the object does not have the shape of `type`.
        """
        try:
            obj = msgspec.json.decode(data, type=self.type)
            if isinstance(obj, dict):
                metadata_of(obj)  # fail here, not at the first later use
        except Exception as error:
            # Besides msgspec's errors, users' objects have caused RecursionError, OverflowError and UnicodeError. Only
            # the decoder runs here, so any exception is due to the object, not to a bug in Trustplane.
            raise UnreadableError(
                f"An object of {self} cannot be read",
                why=_why(error),
                next_step="Correct the object, or run a Trustplane version that supports this shape",
            ) from error
        self._complete(obj)
        return obj

    def _complete(self, obj: Any) -> None:
        if isinstance(obj, dict):
            obj.setdefault("apiVersion", self.api_version)
            obj.setdefault("kind", self.kind)
        elif not getattr(obj, "kind", self.kind):
            obj.api_version, obj.kind = self.api_version, self.kind


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it nests too deeply"
    return clean(str(error), MAX_MESSAGE) or type(error).__name__


def metadata_of(obj: Any) -> Metadata:
    """Return the metadata of a typed object or of a `dict` one."""
    if isinstance(obj, dict):
        return msgspec.convert(obj.get("metadata", {}), Metadata)
    metadata: Metadata = obj.metadata
    return metadata


def key_of(obj: Any) -> Key:
    """Return the Key of a typed object or of a `dict` one."""
    metadata = obj.get("metadata", {}) if isinstance(obj, dict) else None
    if metadata is not None:
        return Key(metadata.get("namespace", ""), metadata.get("name", ""))
    return Key(obj.metadata.namespace, obj.metadata.name)
