"""Answers for an input as a whole: messages of one pod count together, equal answers are told once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.explanation import Evidence, Explanation, explain
from trustplane.diagnosis.messages import Message

ONE_CAUSE, SEVERAL_CAUSES, UNKNOWN = 0, 1, 2

_NO_SECRET: Final = "retrieve some image pull secrets"  # noqa: S105 - words of the kubelet


@dataclass(frozen=True)
class Answer:
    """One explanation, and the pods that it is about, as namespace/name."""

    explanation: Explanation
    subjects: tuple[str, ...] = ()


def answers(messages: Iterable[Message]) -> list[Answer]:
    """Explain messages. What says nothing (`Back-off pulling image`) is left out where the pod has more to say."""
    by_subject: dict[str, dict[str, None]] = {}
    for message in messages:
        by_subject.setdefault(message.subject, {})[message.text] = None
    told: dict[object, tuple[Explanation, dict[str, None]]] = {}
    for subject, texts in by_subject.items():
        for explanation in _of_subject(list(texts)):
            endpoint = explanation.reading.endpoint
            _, subjects = told.setdefault((explanation.codes, endpoint.address, endpoint.role), (explanation, {}))
            subjects[subject] = None
    return _known_first(Answer(one, tuple(filter(None, subjects))) for one, subjects in told.values())


def exit_code(told: Sequence[Answer]) -> int:
    """Say how much is known: 0 one cause, 1 several, 2 none."""
    codes = {code for answer in told for code in answer.explanation.codes} - {Code.UNKNOWN}
    if not codes:
        return UNKNOWN
    return ONE_CAUSE if len(codes) == 1 and all(one.explanation.is_known for one in told) else SEVERAL_CAUSES


def _of_subject(texts: Sequence[str]) -> list[Explanation]:
    warnings = [text for text in texts if _NO_SECRET in text]
    evidence = [Evidence("event", text, points_to=frozenset({Code.AUTH_MISSING})) for text in warnings]
    explained = [explain(text, evidence) for text in texts if text not in warnings]
    known = [one for one in explained if one.is_known]
    return known or [explain(text) for text in warnings] or explained[:1]


def _known_first(told: Iterable[Answer]) -> list[Answer]:
    """Leave out pods of which nothing is known where something is known of others of the same input."""
    every = list(told)
    known = [one for one in every if one.explanation.is_known]
    return known + [one for one in every if not one.explanation.is_known and (one.subjects or not known)]
