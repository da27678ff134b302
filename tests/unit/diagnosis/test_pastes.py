"""Messages in every form in which they are pasted, and cut anywhere, get no wrong answer.

`PASTES=all` tries all combinations; otherwise a sample of a fixed seed.
"""

import os
import random
from functools import cache

import pytest

from diagnosis_pastes import WRAPPERS, case_texts, messages
from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.explanation import explain
from trustplane.diagnosis.messages import messages_in
from trustplane.diagnosis.report import Answer, explain_messages

SEED = 15
IS_WHOLE = os.environ.get("PASTES") == "all"
SAMPLE = 10_000 if IS_WHOLE else 8
CUTS = 4000 if IS_WHOLE else 400


def answers(text: str) -> list[Answer]:
    return explain_messages(messages_in(text))


@cache
def codes(text: str) -> frozenset[Code]:
    return frozenset(code for answer in answers(text) for code in answer.explanation.codes)


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_pasted_message_gets_the_answer_of_the_plain_one(name: str) -> None:
    pasted = messages()
    for message in random.Random(f"{SEED} {name}").sample(pasted, min(SAMPLE, len(pasted))):  # noqa: S311
        plain, wrapped = explain(message), answers(WRAPPERS[name](message))
        assert [answer.explanation.codes for answer in wrapped] == [plain.codes]
        parsed = wrapped[0].explanation.parsed
        assert not plain.parsed.image or parsed.image == plain.parsed.image
        assert not plain.parsed.endpoint.host or parsed.endpoint == plain.parsed.endpoint
        assert "hunter2" not in parsed.text


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_pasted_case_gets_no_wrong_single_answer(name: str) -> None:
    cases = [text.strip() for text in case_texts() if "\n" not in text.strip() and not codes(text) & {Code.UNKNOWN}]
    for text in random.Random(f"{SEED} {name}").sample(cases, min(SAMPLE, len(cases))):  # noqa: S311
        for answer in answers(WRAPPERS[name](text)):
            explanation = answer.explanation
            assert len(explanation.codes) > 1 or not explanation.is_known or explanation.codes[0] in codes(text)


def test_a_cut_message_gets_no_wrong_single_answer() -> None:
    chosen, texts = random.Random(SEED), [*messages(), *case_texts()]  # noqa: S311
    wrong = []
    for _ in range(CUTS):
        text = chosen.choice(texts)
        cut = text[: chosen.randint(len(text) // 20, len(text))]
        for answer in answers(cut):
            explanation = answer.explanation
            is_wrong = len(explanation.codes) == 1 and explanation.codes[0] not in codes(text)
            wrong += [(explanation.codes[0], cut)] if explanation.is_known and is_wrong else []
    assert wrong == []
