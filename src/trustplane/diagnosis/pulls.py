"""Pulls that fail now, as the statuses of pods tell: which ones, and what they have in common."""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Final

from trustplane.api.limits import MAX_HOST_LENGTH
from trustplane.api.pod import Pod
from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.endpoint import DOCKER_HUB, registry_of
from trustplane.diagnosis.explanation import Evidence, explain, weigh
from trustplane.diagnosis.messages import WAITING
from trustplane.text import MAX_INPUT

# What differs from pod to pod, and from one attempt to the next, though the cause is the same.
_VARYING: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ][\d:.]+(?:Z|[+-]\d\d:?\d\d)?"  # times
    r"|(?<=:)\d{2,5}(?=->)"  # the port of our side of a connection
    r"|\b[0-9a-f]{12,}\b"  # digests and identifiers
)
_MIN_REPOSITORY: Final = 4  # characters; the letters of shorter names are in other words, too
_MEMORY: Final = 4096  # kinds of messages
_MAX_PULLS: Final = 10  # of one pod; when these are mended, the others are next
_MAX_IMAGE: Final = 1024  # characters; runtimes take 255 for the repository, and a tag or digest
# Characters of a message in which what varies is looked for, at either end: messages of kubelets are far shorter.
_HEAD: Final = 2048
_TAIL: Final = 512
_BACKS_OFF: Final = 'ImagePullBackOff: Back-off pulling image "{}": '  # before the words of the last attempt


@dataclass(frozen=True)
class Pull:
    """A pull that failed.

    Attributes:
        image: The image's name.
        message: What the kubelet says of it.
    """

    image: str
    message: str

    @cached_property
    def host(self) -> str:
        """The registry that the image's name begins with."""
        return host_of(self.image)

    @property
    def signature(self) -> str:
        """What its message has in common with those of other pods of the same registry and cause.

        What is far from both ends of a very long message counts as it is: to find what varies costs most.
        """
        path = self.image.partition("/")[2].partition("@")[0]
        repository, _, tag = path.rpartition(":")
        text = self.message.removeprefix(_BACKS_OFF.format(self.image)).replace(self.image, f"{self.host}/IMAGE")
        if len(repository) >= _MIN_REPOSITORY:
            text = text.replace(f"/{repository}/manifests/{tag}", "/IMAGE/manifests/TAG")
            text = text.replace(repository, "IMAGE").replace(repository.replace("/", "%2F"), "IMAGE")
        if len(text) <= _HEAD + _TAIL:
            return _VARYING.sub("VARYING", text)
        head, tail = (_VARYING.sub("VARYING", part) for part in (text[:_HEAD], text[-_TAIL:]))
        return f"{head} {_digest(text[_HEAD:-_TAIL]).hex()} {tail}"

    @cached_property
    def kind(self) -> bytes:
        """The digest of its signature, since a message may be long."""
        return _digest(self.signature)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()


def failing(pod: Pod) -> tuple[Pull, ...]:
    """Return the pulls that a pod waits for in vain, in the order of its containers; none where all is well.

    There are ten at most, whatever a stranger's server says of a pod.
    """
    waiting = ((one.image, one.state.waiting) for one in pod.status.containers if one.state.waiting)
    pulls = (
        Pull(image[:_MAX_IMAGE], f"{one.reason}: {one.message[:MAX_INPUT]}")
        for image, one in waiting
        if one.reason in WAITING
    )
    return tuple(islice(pulls, _MAX_PULLS))


def host_of(image: str) -> str:
    """Return the registry that an image's name begins with, bounded as statuses have it."""
    return (registry_of(image) or DOCKER_HUB)[:MAX_HOST_LENGTH]


def remembered(before: Sequence[Pull], now: Sequence[Pull]) -> tuple[Pull, ...]:
    """Return pulls as they fail now, each with the latest message that says why.

    Kubelets before 1.32 write nothing but `Back-off pulling image` between two attempts, and some say that they wait.
    """
    known = {one.image: one for one in before}
    return tuple(known[one.image] if one.image in known and _says_nothing(one) else one for one in now)


def are_alike(before: Sequence[Pull], now: Sequence[Pull]) -> bool:
    """Tell whether pulls fail as they did: of the same registries, in words with nothing new in them."""
    return [(one.host, one.kind) for one in before] == [(one.host, one.kind) for one in now]


def _says_nothing(pull: Pull) -> bool:
    return pull.message.rstrip().endswith((f'Back-off pulling image "{pull.image}"', "pull QPS exceeded"))


class Causes:
    """The causes of pulls. What many messages have in common is explained once, so a thousand pods cost little."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[Code, ...]] = OrderedDict()

    def knows(self, pull: Pull) -> bool:
        """Return whether a message of its kind has been explained, so that its cause costs nothing."""
        return pull.kind in self._known

    def of(self, pull: Pull, evidence: Sequence[Evidence] = ()) -> Code:
        """Return the most likely cause of a pull, in the light of what is known besides."""
        codes = self._known.get(pull.kind)
        if codes is None:
            codes = explain(pull.message).codes
            self._known[pull.kind] = codes
            if len(self._known) > _MEMORY:
                self._known.popitem(last=False)
        return weigh(codes, evidence)[0][0]
