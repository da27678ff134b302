"""Output of `trustplane explain`: for people, causes then evidence; for programs, JSON with all details."""

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
_MAX_LAYER = 400  # characters of one layer
_MAX_PODS = 5  # listed pods


def show_explanations(console: Console, answers: Sequence[Answer]) -> None:
    """Print explanations for people."""
    for number, answer in enumerate(answers):
        if number:
            console.print()
        _show(console, answer)


def _show(console: Console, answer: Answer) -> None:
    explanation = answer.explanation
    several = len(explanation.causes) > 1
    if several:
        console.print(f"The message fits {len(explanation.causes)} causes, most likely first:")
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
    return rows if several else [("confidence:", f"{cause.confidence}, because {cause.reason}"), *rows]


def _about(answer: Answer) -> list[tuple[str, str]]:
    explanation, rows = answer.explanation, []
    if len(explanation.causes) > 1:
        rows.append(("why several:", explanation.causes[0].reason))
    if host := failed_host(explanation.parsed):
        rows.append(("failed:", host))
    if explanation.parsed.image:
        rows.append(("image:", explanation.parsed.image))
    if answer.subjects:
        named, more = ", ".join(answer.subjects[:_MAX_PODS]), len(answer.subjects) - _MAX_PODS
        rows.append(("pods:", f"{named} and {more} more" if more > 0 else named))
    return rows


def _evidence(explanation: Explanation) -> list[tuple[str, str]]:
    lines = [(f"{layer.kind}:", layer_text(layer)) for layer in explanation.parsed.layers]
    return lines + [(f"{item.source}:", item.text) for item in explanation.evidence]


def failed_host(parsed: ParsedMessage) -> str:
    """Return the failed host with its role; empty if the message does not name it."""
    endpoint, registry = parsed.endpoint, registry_of(parsed.image)
    of = f" of {registry}" if registry and endpoint.role is not Role.REGISTRY else ""
    if endpoint.host:
        return f"{endpoint.host} port {endpoint.port}, the {endpoint.role}{of}"
    return f"the {endpoint.role}{of}, not named in the message" if endpoint.role is Role.TOKEN_SERVICE else ""


def layer_text(layer: Layer) -> str:
    """Return the message of a layer as one shortened line."""
    line = " ".join(layer.text.split())
    return line if len(line) <= _MAX_LAYER else f"{line[: _MAX_LAYER - 1]}…"


def as_json(answers: Sequence[Answer]) -> Json:
    """Return explanations for programs."""
    return {"exitCode": exit_code(answers), "answers": [_answer(answer) for answer in answers]}


def _answer(answer: Answer) -> Json:
    explanation = answer.explanation
    parsed = explanation.parsed
    endpoint = parsed.endpoint
    return {
        "causes": [cause_json(cause) for cause in explanation.causes],
        "failed": {"role": endpoint.role, "host": endpoint.host, "port": endpoint.port, "path": endpoint.path},
        "image": parsed.image,
        "registry": registry_of(parsed.image),
        "runtime": parsed.runtime,
        "pods": list(answer.subjects),
        "evidence": [
            *({"source": layer.kind, "words": layer_text(layer), "host": layer.host} for layer in parsed.layers),
            *({"source": item.source, "words": item.text, "host": ""} for item in explanation.evidence),
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
