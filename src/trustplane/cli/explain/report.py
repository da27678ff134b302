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
_MAX_NAMES = 5  # listed pods or images
_MAX_EVIDENCE = 4  # innermost layers shown without --all
_MAX_CAUSES = 3  # shown without --all


def show_explanations(console: Console, answers: Sequence[Answer], *, show_all: bool = False) -> None:
    """Print explanations for people: at most three causes each, or all."""
    for number, answer in enumerate(answers):
        if number:
            console.print()
        _show(console, answer, show_all=show_all)


def _show(console: Console, answer: Answer, *, show_all: bool) -> None:
    explanation = answer.explanation
    several = len(explanation.causes) > 1
    if several:
        _show_decision(console, explanation)
    causes = explanation.causes if show_all else explanation.causes[:_MAX_CAUSES]
    steps: list[str] = []
    for number, cause in enumerate(causes, 1):
        rank = f"{number}. " if several else ""
        console.print(Text.assemble(rank, (str(cause.code), "bold"), f": {cause.meaning}"), soft_wrap=True)
        _rows(console, _cause(cause, steps, several=several))
        steps.append(cause.next_step)
    if hidden := explanation.causes[len(causes) :]:
        console.print(f"Less likely (--all explains them): {', '.join(cause.code for cause in hidden)}", soft_wrap=True)
    _rows(console, _about(answer))
    if evidence := _evidence(explanation):
        console.print("Evidence:")
        _rows(console, evidence if show_all else evidence[-_MAX_EVIDENCE:])


def _show_decision(console: Console, explanation: Explanation) -> None:
    count = len(explanation.causes)
    if step := explanation.deciding_step:
        console.print(f"The text cannot tell {count} causes apart; this command can:")
        _rows(console, [("decide:", step)])
        console.print("Most likely first:")
    else:
        console.print(f"The message fits {count} causes, most likely first:")


def _rows(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    width = max((len(title) for title, _ in rows), default=0)
    for title, text in rows:
        console.print(f"   {title:<{width}}  {text}", soft_wrap=True)


def _cause(cause: Cause, steps: Sequence[str], *, several: bool) -> list[tuple[str, str]]:
    step = f"as for {steps.index(cause.next_step) + 1}" if cause.next_step in steps else cause.next_step
    rows = [("who acts:", str(cause.actor)), ("next:", step)]
    return rows if several else [("confidence:", f"{cause.confidence}, because {cause.reason}"), *rows]


def _about(answer: Answer) -> list[tuple[str, str]]:
    explanation, rows = answer.explanation, []
    if len(explanation.causes) > 1:
        rows.append(("why several:", explanation.causes[0].reason))
    if host := failed_host(explanation.parsed):
        rows.append(("failed:", host))
    if images := answer.images or tuple(filter(None, [explanation.parsed.image])):
        rows.append(("image:" if len(images) == 1 else "images:", _list(images)))
    if answer.subjects:
        rows.append(("pods:", _list(answer.subjects)))
    return rows


def _list(names: Sequence[str]) -> str:
    named, more = ", ".join(names[:_MAX_NAMES]), len(names) - _MAX_NAMES
    return f"{named} and {more} more" if more > 0 else named


def _evidence(explanation: Explanation) -> list[tuple[str, str]]:
    lines = [(f"{layer.kind}:", layer_text(layer)) for layer in explanation.parsed.layers]
    return lines + [(f"{item.source}:", item.text) for item in explanation.evidence]


def failed_host(parsed: ParsedMessage) -> str:
    """Return the failed host with its role; empty if the message does not name it."""
    endpoint, registry = parsed.endpoint, registry_of(parsed.image)
    of = f" of {registry}" if registry and endpoint.role is not Role.REGISTRY else ""
    if endpoint.host:
        port = f" port {endpoint.port}" if endpoint.port else ""
        return f"{endpoint.host}{port}, the {endpoint.role}{of}"
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
        "decide": explanation.deciding_step,
        "causes": [cause_json(cause) for cause in explanation.causes],
        "failed": {"role": endpoint.role, "host": endpoint.host, "port": endpoint.port, "path": endpoint.path},
        "image": parsed.image,
        "registry": registry_of(parsed.image),
        "runtime": parsed.runtime,
        "images": list(answer.images),
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
