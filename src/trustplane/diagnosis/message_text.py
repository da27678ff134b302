"""The text of a message before and after parsing: escapes undone, and what follows the statement cut off."""

import re
from typing import Final

from trustplane.diagnosis.pasted import unescape
from trustplane.text import redact

_FOLDED: Final = re.compile(r"\n[ \t]+")  # YAML and text copied from web pages have lines broken at spaces
_ESCAPED: Final = re.compile(r"""(?<!\\)\\++(?=["'])""")  # matches a whole run of backslashes, so it never backtracks
# containerd ends errors of unknown kind with this; quotes and fields of a log line may follow.
_ERROR_KIND: Final = re.compile(r"(?:: unknown){1,4}(?=[\s\"'`.)]{0,20}(?:\Z|\n)|\" \w{1,20}=)")
_TICKS: Final = re.compile(r"(?<=[ :])`(?P<name>[\w.:/@-]{1,512})`")
_JOINED: Final = re.compile(r"(?<=\S):(?=x509: )")  # old versions of ctr write no blank behind the URL
_FIELD: Final = re.compile(r'"\s{1,4}(?:image|imageRef|pod|key|host|logger|containerName)=')
_BODY_WORDS: Final = frozenset({"errors", "denied", "unauthorized", "unknown", "toomanyrequests", "manifest", "name"})


def normalise(text: str) -> str:
    """Return a message without credentials, escapes, folded lines and the marks of a cut."""
    text = _TICKS.sub(r'"\g<name>"', unescape(text))
    text = _ESCAPED.sub("", redact(text).replace("\\n", "\n"))
    text = _FOLDED.sub(" ", text).rstrip().removesuffix("...").removesuffix("…")
    return _ERROR_KIND.sub("", _JOINED.sub(": ", text))


def first_line(text: str) -> str:
    """Return a statement without the lines and fields behind it."""
    line = text.partition("\n")[0]
    end = _FIELD.search(line)
    return (line[: end.start()] if end else line).rstrip(" \"'`")


def without_rest(message: str, rest: str) -> str:
    """Return a message up to the line of its statement, with the lines of the registry's body below it."""
    start = message.rfind(rest)
    lines = rest.split("\n")
    kept = [lines[0]]
    for line in lines[1:]:
        if line.partition(":")[0].split(" ")[0].lower() not in _BODY_WORDS:
            break
        kept.append(line)
    return message[: max(start, 0)] + "\n".join(kept)
