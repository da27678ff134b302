"""Built-in kinds of Kubernetes, reduced to the fields used by Trustplane."""

import msgspec

from trustplane.api.meta import Object


class Secret(Object):
    """A v1 Secret; the values of `data` are base64, as on the wire."""

    type: str = ""
    immutable: bool = False
    data: dict[str, str] = msgspec.field(default_factory=dict)
