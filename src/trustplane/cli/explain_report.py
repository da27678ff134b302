"""The answers of `trustplane explain`: for people the cause first, then the evidence; for programs all of it."""

from collections.abc import Sequence
from typing import Any

from rich.text import Text

from trustplane.cli.console import Console
from trustplane.diagnosis.cause import Cause
from trustplane.diagnosis.endpoint import registry_of
from trustplane.diagnosis.explanation import Explanation
from trustplane.diagnosis.layer import Layer, Role
from trustplane.diagnosis.message_parser import ParsedMessage
from trustplane.diagnosis.report import Answer, exit_code

Json = dict[str, Any]
_WORDS = 400  # characters of one layer
_SUBJECTS = 5  # pods that are named


def show(console: Console, told: Sequence[Answer]) -> None:
    """Print answers for people."""
    for number, answer in enumerate(told):
        if number:
            console.print()
        _show(console, answer)


def _show(console: Console, answer: Answer) -> None:
    explanation = answer.explanation
    several = len(explanation.causes) > 1
    if several:
        console.print(f"The words fit {len(explanation.causes)} causes, most likely first:")
    for number, cause in enumerate(explanation.causes, 1):
        rank = f"{number}. " if several else ""
        console.print(Text.assemble(rank, (str(cause.code), "bold"), f": {cause.meaning}"), soft_wrap=True)
        _rows(console, _cause(cause, several=several))
    _rows(console, _about(answer))
    if evidence := _evidence(explanation):
        console.print("Evidence:")
        _rows(console, evidence)


def _rows(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    width = max((len(title) for title, _ in rows), default=0)
    for title, text in rows:
        console.print(f"   {title:<{width}}  {text}", soft_wrap=True)


def _cause(cause: Cause, *, several: bool) -> list[tuple[str, str]]:
    rows = [("who acts:", str(cause.actor)), ("next:", cause.next_step)]
    return rows if several else [("confidence:", f"{cause.confidence}, since {cause.reason}"), *rows]


def _about(answer: Answer) -> list[tuple[str, str]]:
    explanation, rows = answer.explanation, []
    if len(explanation.causes) > 1:
        rows.append(("why several:", explanation.causes[0].reason))
    if where := failed(explanation.parsed):
        rows.append(("failed:", where))
    if explanation.parsed.image:
        rows.append(("image:", explanation.parsed.image))
    if answer.subjects:
        named, more = ", ".join(answer.subjects[:_SUBJECTS]), len(answer.subjects) - _SUBJECTS
        rows.append(("pods:", f"{named} and {more} more" if more > 0 else named))
    return rows


def _evidence(explanation: Explanation) -> list[tuple[str, str]]:
    lines = [(f"{one.kind}:", short(one)) for one in explanation.parsed.layers]
    return lines + [(f"{one.source}:", one.text) for one in explanation.evidence]


def failed(parsed: ParsedMessage) -> str:
    """Name the host that failed and what it is, "" where the message does not tell."""
    endpoint, registry = parsed.endpoint, registry_of(parsed.image)
    of = f" of {registry}" if registry and endpoint.role is not Role.REGISTRY else ""
    if endpoint.host:
        return f"{endpoint.host} port {endpoint.port}, the {endpoint.role}{of}"
    return f"the {endpoint.role}{of}, which the message does not name" if endpoint.role is Role.TOKEN_SERVICE else ""


def short(layer: Layer) -> str:
    """Return what a layer said, on one line."""
    line = " ".join(layer.text.split())
    return line if len(line) <= _WORDS else f"{line[: _WORDS - 1]}…"


def as_json(told: Sequence[Answer]) -> Json:
    """Return answers for programs."""
    return {"exitCode": exit_code(told), "answers": [_answer(one) for one in told]}


def _answer(answer: Answer) -> Json:
    explanation = answer.explanation
    parsed = explanation.parsed
    endpoint = parsed.endpoint
    return {
        "causes": [cause_json(one) for one in explanation.causes],
        "failed": {"role": endpoint.role, "host": endpoint.host, "port": endpoint.port, "path": endpoint.path},
        "image": parsed.image,
        "registry": registry_of(parsed.image),
        "runtime": parsed.runtime,
        "pods": list(answer.subjects),
        "evidence": [
            *({"source": one.kind, "words": short(one), "host": one.host} for one in parsed.layers),
            *({"source": one.source, "words": one.text, "host": ""} for one in explanation.evidence),
        ],
        "message": parsed.text,
    }


def cause_json(cause: Cause) -> Json:
    """Return a cause for programs."""
    return {
        "code": cause.code,
        "meaning": cause.meaning,
        "actor": cause.actor,
        "confidence": cause.confidence,
        "reason": cause.reason,
        "nextStep": cause.next_step,
    }
