"""Names of objects within their kinds."""

from typing import Any, NamedTuple


class Key(NamedTuple):
    """An object's name within its kind; `namespace` is empty for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """`namespace/name`, or the bare name of a cluster-scoped object."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def key_of(obj: Any) -> Key:
    """Return the Key of a typed object or of a `dict` one."""
    metadata = obj.get("metadata", {}) if isinstance(obj, dict) else None
    if metadata is not None:
        return Key(metadata.get("namespace", ""), metadata.get("name", ""))
    return Key(obj.metadata.namespace, obj.metadata.name)
