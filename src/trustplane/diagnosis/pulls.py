"""The pulls that fail now, according to pod statuses, and the signature that equal failures share."""

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
from trustplane.diagnosis.messages import WAITING_REASONS
from trustplane.text import MAX_INPUT

# Parts of a message that differ between pods and attempts with the same cause.
_VARYING: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ][\d:.]+(?:Z|[+-]\d\d:?\d\d)?"  # times
    r"|(?<=:)\d{2,5}(?=->)"  # the local port of a connection
    r"|\b[0-9a-f]{12,}\b"  # digests and identifiers
)
_MIN_REPOSITORY: Final = 4  # characters; a shorter name may be part of another word
_MEMORY: Final = 4096  # kinds of messages
_MAX_PULLS: Final = 10  # per pod; the others follow once these work
_MAX_IMAGE: Final = 1024  # characters; runtimes accept 255 for the repository, plus a tag or digest
# Characters at either end of a message in which varying parts are replaced; kubelets' messages are far shorter.
_HEAD: Final = 2048
_TAIL: Final = 512
_BACKS_OFF: Final = 'ImagePullBackOff: Back-off pulling image "{}": '  # in front of the last attempt's message


@dataclass(frozen=True)
class FailedPull:
    """A failed pull.

    Attributes:
        image: The image reference.
        message: The kubelet's message.
    """

    image: str
    message: str

    @cached_property
    def host(self) -> str:
        """Return the registry host of the image."""
        return host_of(self.image)

    @property
    def signature(self) -> str:
        """Return the message without the parts that vary between pods with the same registry and cause.

        The middle of a very long message stays as it is, because replacing its varying parts costs too much.
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
        """Return the digest of the signature, which may be long."""
        return _digest(self.signature)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()


def failing_pulls(pod: Pod) -> tuple[FailedPull, ...]:
    """Return the failing pulls that a pod waits for, in the order of its containers.

    A pod status is untrusted, so at most ten are returned.
    """
    waiting = ((container.image, container.state.waiting) for container in pod.status.containers)
    pulls = (
        FailedPull(image[:_MAX_IMAGE], f"{state.reason}: {state.message[:MAX_INPUT]}")
        for image, state in waiting
        if state and state.reason in WAITING_REASONS
    )
    return tuple(islice(pulls, _MAX_PULLS))


def host_of(image: str) -> str:
    """Return the registry host of an image, cut to the length that statuses allow."""
    return (registry_of(image) or DOCKER_HUB)[:MAX_HOST_LENGTH]


def retain_causes(before: Sequence[FailedPull], now: Sequence[FailedPull]) -> tuple[FailedPull, ...]:
    """Return the pulls that fail now, each with its latest message that names a cause.

    Between attempts, kubelets before 1.32 report only `Back-off pulling image`, and throttled ones only the throttling.
    """
    previous = {pull.image: pull for pull in before}
    return tuple(previous[pull.image] if pull.image in previous and _is_empty(pull) else pull for pull in now)


def have_same_failures(before: Sequence[FailedPull], now: Sequence[FailedPull]) -> bool:
    """Return whether the same registries fail with messages of the same kinds."""
    return [(pull.host, pull.kind) for pull in before] == [(pull.host, pull.kind) for pull in now]


def _is_empty(pull: FailedPull) -> bool:
    """Return whether the message names no cause."""
    return pull.message.rstrip().endswith((f'Back-off pulling image "{pull.image}"', "pull QPS exceeded"))


class CauseCache:
    """A cache of causes by kind of message: a thousand pods with one failure cost little more than one."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[Code, ...]] = OrderedDict()

    def contains(self, pull: FailedPull) -> bool:
        """Return whether a message of this kind is cached."""
        return pull.kind in self._known

    def cause_of(self, pull: FailedPull, evidence: Sequence[Evidence] = ()) -> Code:
        """Return the most likely cause of a failed pull, narrowed by evidence."""
        codes = self._known.get(pull.kind)
        if codes is None:
            codes = explain(pull.message).codes
            self._known[pull.kind] = codes
            if len(self._known) > _MEMORY:
                self._known.popitem(last=False)
        return weigh(codes, evidence)[0][0]
