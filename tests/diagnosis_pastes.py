"""The forms in which a message is pasted: broken lines, frames, logs, prompts, JSON, and tools around it."""

import json
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import yaml

_TESTS: Final = Path(__file__).parent
Wrap = Callable[[str], str]
_EVENT: Final = "  Warning  Failed     20s (x3 over 61s)  kubelet            ErrImagePull: "


def messages() -> list[str]:
    """Return the messages of real failures."""
    corpus = json.loads((_TESTS / "unit" / "diagnosis" / "pull-errors.json").read_text())
    texts = (message for outcome in corpus.values() for message in outcome["messages"].values() if message)
    return list(dict.fromkeys(texts))


def case_texts() -> list[str]:
    """Return the texts of the corpus."""
    cases = (yaml.safe_load(path.read_text()) for path in sorted((_TESTS / "corpus" / "explain").glob("*.yaml")))
    return [str(case["text"]) for case in cases if "text" in case]


def cut(width: int, before: str = "", *, is_stripped: bool = False) -> Wrap:
    """Break lines as a terminal does: at its width, wherever that is."""

    def wrap(message: str) -> str:
        text = before + message
        lines = [text[start : start + width] for start in range(0, len(text), width)]
        return "\n".join(line.rstrip() if is_stripped else line for line in lines)

    return wrap


def broken(width: int, before: str = "", indent: str = "") -> Wrap:
    """Break lines as a mail program does: at blanks and hyphens, and in longer words."""

    def wrap(message: str) -> str:
        return "\n".join(textwrap.wrap(before + message, width, subsequent_indent=indent))

    return wrap


def frame(width: int, before: str = _EVENT) -> Wrap:
    """Break lines as k9s does, in a frame."""

    def wrap(message: str) -> str:
        text = before + message
        parts = [text[start : start + width] for start in range(0, len(text), width)]
        return "\n".join(f"│ {part:<{width}} │" for part in parts)

    return wrap


def around(before: str, after: str = "") -> Wrap:
    """Put text before and after a message."""
    return lambda message: f"{before}{message}{after}"


def escaped(before: str, after: str, *, times: int = 1) -> Wrap:
    """Put a message into a string of JSON or of a log."""

    def wrap(message: str) -> str:
        for _ in range(times):
            message = json.dumps(message)[1:-1]
        return f"{before}{message}{after}"

    return wrap


def go_json(before: str, after: str) -> Wrap:
    """Put a message into JSON as Go writes it."""

    def wrap(message: str) -> str:
        text = json.dumps(message)[1:-1].replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
        return f"{before}{text}{after}"

    return wrap


_KLOG: Final = 'E0707 12:09:10.302029   16749 kuberuntime_image.go:55] "Failed to pull image" err="'
_JOURNAL: Final = (
    "Feb 23 03:45:19 node-1 kubelet[849883]: E0223 03:45:19.078505  849883 pod_workers.go:1301] "
    '"Error syncing pod, skipping" err="'
)
_PROMPT: Final = "\nadmin@jump:~$ kubectl delete pod web --password hunter2\n"
WRAPPERS: Final[Mapping[str, Wrap]] = {
    "plain": around(""),
    "cut 80": cut(80),
    "cut 80, stripped": cut(80, is_stripped=True),
    "cut 100": cut(100),
    "cut 120": cut(120),
    "cut 120 event": cut(120, _EVENT),
    "cut 132": cut(132),
    "broken 72": broken(72),
    "broken 80": broken(80),
    "broken 80 event": broken(80, _EVENT),
    "broken 80, indented": broken(80, indent="    "),
    "broken 100": broken(100),
    "broken 120": broken(120),
    "broken 160": broken(160),
    "k9s 100": frame(100),
    "k9s 132": frame(132),
    "k9s 180": frame(180),
    "event": around(_EVENT),
    "events": around(
        "LAST SEEN   TYPE      REASON   OBJECT      MESSAGE\n2m          Warning   Failed   pod/web-1   ErrImagePull: "
    ),
    "fragment": escaped('        "message": "', '",'),
    "fragment of Go": go_json('        "message": "', '",'),
    "fragment of Go, with more": go_json('  "reason": "Failed",\n  "message": "', '",\n  "count": 3,\n'),
    "JSON log": go_json('{"ts":1738515496146.4,"caller":"kubelet/pod_workers.go:1301","err":"', '"}'),
    "klog": escaped(_KLOG, '"'),
    "klog with a field": escaped(_KLOG, '" pod="shop/web"'),
    "logrus": escaped('time="2024-11-06T10:00:00Z" level=error msg="PullImage failed" error="', '"'),
    "journal": escaped(_JOURNAL, '"'),
    "journal, twice": escaped(_JOURNAL, '" podUID="881714f8"', times=2),
    "crictl": around("FATA[0000] pulling image: "),
    "ctr": around("ctr: "),
    "kubelet": around("Error: ErrImagePull\n"),
    "prompt behind": around("", _PROMPT),
    "prompts around": around("admin@jump:~$ kubectl describe pod web | tail -1\n" + _EVENT, _PROMPT),
    "root": around("[root@node-1 ~]# crictl pull x\n", "\n[root@node-1 ~]# "),
    "PowerShell": around("PS C:\\Users\\me> kubectl describe pod web\n", "\nPS C:\\Users\\me> "),
    "log line behind": around("", '\ntime="2024-11-06T10:00:01Z" level=info msg="stopped"\n'),
    "list item": around("- "),
    "list item in quotes": around('- "', '"'),
    "quoted": around("> "),
    "single quotes": around("'", "'"),
    "parentheses": around("^ Pending: ErrImagePull (message: ", ")"),
    "comma": around("('", "',)"),
    "ticks": around("```\n", "\n```"),
    "Argo": around("* Degraded: web (Deployment): "),
    "Helm": around("Error: INSTALLATION FAILED: "),
    "kubeadm": around("[ERROR ImagePull]: failed to pull image: output: ", "\n, error: exit status 1"),
    "mail": around("Guten Tag,\n\nim Log steht:\n", "\n\nMit freundlichen Grüßen\nMüller\n"),
    "Japanese": around("お世話になっております。\n\n【エラー】\n", "\n\nよろしくお願いいたします。\n"),
    "YAML": around("    message: '", "'\n    reason: ErrImagePull\n"),
    "CRLF": around("Error: ErrImagePull\r\n", "\r\n"),
    "colours": around("\x1b[31m", "\x1b[0m"),
    "unknown kind": around("", ": unknown"),
    "cut": around("", "..."),
}
