"""Answers for a whole input: messages of one pod count together, and pods with the same answer are grouped."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.explanation import Evidence, Explanation, explain
from trustplane.diagnosis.messages import Message, Origin
from trustplane.diagnosis.shape import shape_of

ONE_CAUSE, SEVERAL_CAUSES, UNKNOWN = 0, 1, 2

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,252}")
_NO_SECRET: Final = "retrieve some image pull secrets"  # noqa: S105 - a message of the kubelet


@dataclass(frozen=True)
class Answer:
    """An explanation, and what it applies to.

    Attributes:
        explanation: The explanation of the first message.
        subjects: The pods, as namespace/name.
        images: The images.
    """

    explanation: Explanation
    subjects: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


@dataclass
class _Group:
    """Messages with the same causes and the same failed host."""

    explanation: Explanation
    subjects: dict[str, None] = field(default_factory=dict)
    images: dict[str, None] = field(default_factory=dict)

    def add(self, explanation: Explanation, subject: str) -> None:
        image = explanation.parsed.image
        if _names(explanation) > _names(self.explanation):
            self.explanation = explanation
        self.subjects |= {subject: None} if subject else {}
        self.images |= {image: None} if image else {}


def explain_messages(messages: Iterable[Message]) -> list[Answer]:
    """Explain messages; of each pod, drop unknown ones (`Back-off pulling image`) if another one has a cause."""
    by_subject: dict[str, dict[str, Message]] = {}
    for message in messages:
        by_subject.setdefault(message.subject, {}).setdefault(message.text, message)
    groups: dict[object, _Group] = {}
    explain_known = _Explainer()
    for subject, by_text in by_subject.items():
        for explanation in _subject_explanations(list(by_text.values()), explain_known):
            endpoint = explanation.parsed.endpoint
            group = groups.setdefault((explanation.codes, endpoint.address, endpoint.role), _Group(explanation))
            group.add(explanation, subject)
    merged = _without_nameless(list(groups.values()))
    return _known_first(Answer(group.explanation, tuple(group.subjects), tuple(group.images)) for group in merged)


def _names(explanation: Explanation) -> tuple[bool, bool]:
    return bool(explanation.parsed.image), bool(explanation.parsed.endpoint.path)


def _without_nameless(groups: list[_Group]) -> list[_Group]:
    """Drop messages that name no host if another one has the same causes: logs repeat a failure in fewer words."""
    named = {group.explanation.codes[0] for group in groups if group.explanation.parsed.endpoint.host}
    return [
        group
        for group in groups
        if group.explanation.parsed.endpoint.host or group.subjects or group.explanation.codes[0] not in named
    ]


def exit_code(answers: Sequence[Answer]) -> int:
    """Return the exit status: 0 for one cause, 1 for several, 2 for none."""
    codes = {code for answer in answers for code in answer.explanation.codes} - {Code.UNKNOWN}
    if not codes:
        return UNKNOWN
    is_one = len(codes) == 1 and all(answer.explanation.is_known for answer in answers)
    return ONE_CAUSE if is_one else SEVERAL_CAUSES


class _Explainer:
    """Explanations by shape: thousands of lines of a log with one failure cost little more than one."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, object], Explanation] = {}

    def __call__(self, message: Message, evidence: Sequence[Evidence]) -> Explanation:
        name, shape = shape_of(message.text)
        key = (shape, (tuple(fact.text for fact in evidence), message.origin, "" if name else message.image))
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = explain(message.text, evidence, message.image)
        if not name or name == known.parsed.image:
            return known
        return replace(known, parsed=replace(known.parsed, image=name))


def _subject_explanations(messages: Sequence[Message], explain_known: _Explainer) -> list[Explanation]:
    warnings = [message.text for message in messages if _NO_SECRET in message.text]
    evidence = [Evidence("event", text, points_to=frozenset({Code.AUTH_MISSING})) for text in warnings]
    explanations = [
        _with_other_source(explain_known(message, evidence), message)
        for message in messages
        if message.text not in warnings
    ]
    known = [explanation for explanation in explanations if explanation.is_known]
    return known or [explain(text) for text in warnings] or explanations[:1]


def _with_other_source(explanation: Explanation, message: Message) -> Explanation:
    """Advise another source of the whole message than the one that printed this input."""
    cause = explanation.causes[0]
    if explanation.is_known or message.origin is Origin.TEXT or "kubectl get pods" in cause.next_step:
        return explanation
    namespace, _, name = message.subject.rpartition("/")
    namespace, name = (text if _NAME.fullmatch(text) else "" for text in (namespace, name))
    pod = f"kubectl get pod {name or 'NAME'} -n {namespace or 'NAMESPACE'} -o json | trustplane explain"
    log = f"on the node: journalctl -u kubelet --since -1h | grep {name or 'NAME'} | trustplane explain"
    step = f"{pod}   # or, {log}" if message.origin is Origin.DESCRIBE else log
    return replace(explanation, causes=(replace(cause, next_step=step),))


def _known_first(answers: Iterable[Answer]) -> list[Answer]:
    """Order answers by known cause, and drop an unknown one without a pod if the input has a known one."""
    ordered = sorted(answers, key=lambda answer: not answer.explanation.is_known)
    has_known = any(answer.explanation.is_known for answer in ordered)
    return [answer for answer in ordered if answer.explanation.is_known or answer.subjects or not has_known]
