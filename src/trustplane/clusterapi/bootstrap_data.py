"""The files in a machine's bootstrap data, as Cluster API's kubeadm bootstrap provider writes it. Pure.

Whoever owns a machine's namespace may write any bootstrap data, so it is not read as YAML: 500 bytes of that can ask
for more objects than there is memory for. What the provider writes has one form, line by line, and is read as that; the
time is in proportion to the length. Data of another form says nothing about files.

Source: sigs.k8s.io/cluster-api v1.14.2, bootstrap/kubeadm/pkg/cloudinit (files.go, cloudinit.go, utils.go).
"""

import json
import re
from dataclasses import dataclass, field
from typing import Final

MAX_LENGTH: Final = 1 << 20  # bytes: no Secret is larger
_MAX_LINES: Final = 100_000
_MAX_KEYS: Final = 5000  # Cluster API allows 200 files, and has a dozen of its own, of up to seven keys
_KEY: Final = re.compile(r"(?P<indent> {0,20})(?P<dash>- {1,20})?(?P<key>[a-zA-Z_]{1,40}):(?: (?P<value>.*))?")
_BLOCK: Final = re.compile(r"\|(?P<end>[-+]?)")


@dataclass(frozen=True)
class WrittenFile:
    """A file of `write_files`.

    Attributes:
        path: On the machine.
        encoding: Of the content, such as `base64`; it is not undone here.
        content: As cloud-init takes it.
    """

    path: str
    encoding: str
    content: str


@dataclass
class _Item:
    indent: int  # of its keys
    values: dict[str, str] = field(default_factory=dict)

    def file(self) -> WrittenFile:
        return WrittenFile(*(self.values.get(key, "") for key in ("path", "encoding", "content")))


def written_files(user_data: bytes) -> list[WrittenFile] | None:
    """Return the files that a machine's bootstrap data writes; None where it is not the kubeadm provider's.

    Args:
        user_data: Key `value` of the Secret that `spec.bootstrap.dataSecretName` of the Machine names.
    """
    try:
        text = user_data[: MAX_LENGTH + 1].decode()
    except UnicodeDecodeError:
        return None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n", _MAX_LINES + 1)
    if len(user_data) > MAX_LENGTH or len(lines) > _MAX_LINES:
        return None
    start = next((at for at, line in enumerate(lines) if line.rstrip() in {"write_files:", "write_files: []"}), None)
    if start is None:
        return None
    items = _items(_Lines(lines, start + 1))
    return [item.file() for item in items] if items is not None else None


class _Lines:
    """Lines, and where the reading is."""

    def __init__(self, lines: list[str], at: int) -> None:
        self._lines = lines
        self.at = at

    def next(self) -> str | None:
        """Return the next line that is not empty; it is not passed yet."""
        while self.at < len(self._lines) and _is_empty(self._lines[self.at]):
            self.at += 1
        return self._lines[self.at] if self.at < len(self._lines) else None

    def block(self, indent: int) -> list[str]:
        """Take the lines of a block below a key: those that are indented more than it, or empty."""
        start = self.at
        while self.at < len(self._lines) and (_is_empty(line := self._lines[self.at]) or _indent(line) > indent):
            self.at += 1
        return self._lines[start : self.at]


def _items(lines: _Lines) -> list[_Item] | None:
    """Read the list up to the first line that is none of it; None where it has no end."""
    items: list[_Item] = []
    for _ in range(_MAX_KEYS):
        line = lines.next()
        found = _KEY.fullmatch(line) if line else None
        if found is None:
            return items
        indent = len(found["indent"]) + len(found["dash"] or "")
        if found["dash"]:
            items.append(_Item(indent))
        if not items or indent != items[-1].indent:
            return items
        lines.at += 1
        items[-1].values[found["key"]] = _value(found["value"] or "", lines, indent)
        lines.block(indent)  # what else is below the key
    return None


def _value(text: str, lines: _Lines, indent: int) -> str:
    block = _BLOCK.fullmatch(text.rstrip())
    return _literal(lines.block(indent), block["end"]) if block else _scalar(text.strip())


def _literal(lines: list[str], end: str) -> str:
    """Return a literal block as YAML defines it (1.1, section 9.3), without lines that are indented less at its end."""
    indent = next((_indent(line) for line in lines if not _is_empty(line)), 0)
    text = "\n".join(line[indent:] for line in lines) + "\n"
    body = text.rstrip("\n")
    return text if end == "+" else body if end == "-" or not body else f"{body}\n"


def _scalar(text: str) -> str:
    """Return a value in one line; one in double quotes with an escape that JSON does not have is empty."""
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        return ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _is_empty(line: str) -> bool:
    return not line.strip(" ")
