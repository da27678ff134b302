"""Answers for a whole input: messages of one pod count together, and pods with the same answer are grouped."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.explanation import Evidence, Explanation, explain
from trustplane.diagnosis.messages import Message

ONE_CAUSE, SEVERAL_CAUSES, UNKNOWN = 0, 1, 2

_NO_SECRET: Final = "retrieve some image pull secrets"  # noqa: S105 - a message of the kubelet


@dataclass(frozen=True)
class Answer:
    """An explanation, and the pods it applies to, as namespace/name."""

    explanation: Explanation
    subjects: tuple[str, ...] = ()


def explain_messages(messages: Iterable[Message]) -> list[Answer]:
    """Explain messages; of each pod, drop unknown ones (`Back-off pulling image`) if another one has a cause."""
    by_subject: dict[str, dict[str, None]] = {}
    for message in messages:
        by_subject.setdefault(message.subject, {})[message.text] = None
    groups: dict[object, tuple[Explanation, dict[str, None]]] = {}
    for subject, texts in by_subject.items():
        for explanation in _subject_explanations(list(texts)):
            endpoint = explanation.parsed.endpoint
            _, subjects = groups.setdefault((explanation.codes, endpoint.address, endpoint.role), (explanation, {}))
            subjects[subject] = None
    return _known_first(Answer(explanation, tuple(filter(None, subjects))) for explanation, subjects in groups.values())


def exit_code(answers: Sequence[Answer]) -> int:
    """Return the exit status: 0 for one cause, 1 for several, 2 for none."""
    codes = {code for answer in answers for code in answer.explanation.codes} - {Code.UNKNOWN}
    if not codes:
        return UNKNOWN
    is_one = len(codes) == 1 and all(answer.explanation.is_known for answer in answers)
    return ONE_CAUSE if is_one else SEVERAL_CAUSES


def _subject_explanations(texts: Sequence[str]) -> list[Explanation]:
    warnings = [text for text in texts if _NO_SECRET in text]
    evidence = [Evidence("event", text, points_to=frozenset({Code.AUTH_MISSING})) for text in warnings]
    explanations = [explain(text, evidence) for text in texts if text not in warnings]
    known = [explanation for explanation in explanations if explanation.is_known]
    return known or [explain(text) for text in warnings] or explanations[:1]


def _known_first(answers: Iterable[Answer]) -> list[Answer]:
    """Order answers by known cause, and drop an unknown one without a pod if the input has a known one."""
    ordered = sorted(answers, key=lambda answer: not answer.explanation.is_known)
    has_known = any(answer.explanation.is_known for answer in ordered)
    return [answer for answer in ordered if answer.explanation.is_known or answer.subjects or not has_known]
