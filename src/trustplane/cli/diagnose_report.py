"""The answers of `trustplane diagnose`: for people the cause first, then the evidence; for programs all of it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from trustplane.cli import explain_report
from trustplane.cli.console import Console
from trustplane.diagnosis.cause import Cause
from trustplane.diagnosis.decision import Diagnosis
from trustplane.diagnosis.evidence import Case, CollectorReport, Host

Json = dict[str, Any]
_SUBJECTS = 5  # pods or clusters that are named


@dataclass(frozen=True)
class Answer:
    """A case, what was made of it, and whom it is about."""

    case: Case
    diagnosis: Diagnosis
    pods: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()


def exit_code(answers: Sequence[Answer]) -> int:
    """Return the code of the answer of which least is known."""
    return max((one.diagnosis.exit_code for one in answers), default=0)


def show(console: Console, answers: Sequence[Answer]) -> None:
    """Print answers for people; what all have in common is looked at once."""
    for number, answer in enumerate(answers):
        if number:
            console.print()
        _show(console, answer)
        last = number == len(answers) - 1
        if last or answers[number + 1].case.reports != answer.case.reports:
            _reports(console, answer.case.reports)


def _show(console: Console, answer: Answer) -> None:
    causes = answer.diagnosis.causes
    console.print(Text(_subject(answer), "bold"), soft_wrap=True)
    if not causes:
        console.print("   nothing is wrong with its certificates")
    if len(causes) > 1:
        console.print(f"   {len(causes)} causes fit, most likely first:")
    for number, cause in enumerate(causes, 1):
        rank = f"{number}. " if len(causes) > 1 else ""
        console.print(Text.assemble(f"   {rank}", (str(cause.code), "bold"), f": {cause.meaning}"), soft_wrap=True)
        _rows(console, _cause(cause))
    _rows(console, _about(answer))


def _subject(answer: Answer) -> str:
    case = answer.case
    if not case.image:
        whom = _some(answer.clusters) or (
            "new clusters (the service's list)" if case.desired else "no list that is known"
        )
        return f"Registry {case.registry}, for {whom}"
    return f"{case.image}, for pod {_some(answer.pods)}"


def _some(names: Sequence[str]) -> str:
    named, more = ", ".join(names[:_SUBJECTS]), len(names) - _SUBJECTS
    return f"{named} and {more} more" if more > 0 else named


def _rows(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    width = max((len(title) for title, _ in rows), default=0)
    for title, text in rows:
        console.print(f"      {title:<{width}}  {text}", soft_wrap=True)


def _cause(cause: Cause) -> list[tuple[str, str]]:
    return [
        ("confidence:", f"{cause.confidence}, since {cause.reason}"),
        ("who acts:", str(cause.actor)),
        ("next:", cause.next_step),
    ]


def _about(answer: Answer) -> list[tuple[str, str]]:
    diagnosis, rows = answer.diagnosis, []
    authority = diagnosis.authority
    if authority and authority.fingerprint:
        entry = f" (entry {authority.name})" if authority.name else ""
        rows.append(("CA:", f"{authority.subject}, found in {authority.source}{entry}"))
        rows.append(("SHA-256:", authority.fingerprint))
    elif authority:
        rows.append(("CA:", f"{authority.subject}: its certificate is unknown, {authority.source} has it"))
    explanation = diagnosis.explanation
    if explanation:
        if where := explain_report.failed(explanation.parsed):
            rows.append(("failed:", where))
        rows += [(f"{one.kind}:", explain_report.short(one)) for one in explanation.parsed.layers]
    return rows


def _reports(console: Console, reports: Sequence[CollectorReport]) -> None:
    for title, is_available in (("Looked at:", True), ("Could not look at:", False)):
        rows = [(f"{one.source}:", one.text) for one in reports if one.is_available is is_available]
        if rows:
            console.print(title)
            _rows(console, rows)


def as_json(answers: Sequence[Answer]) -> Json:
    """Return answers for programs."""
    return {"exitCode": exit_code(answers), "answers": [_answer(one) for one in answers]}


def _answer(answer: Answer) -> Json:
    case, diagnosis = answer.case, answer.diagnosis
    authority, explanation = diagnosis.authority, diagnosis.explanation
    return {
        "image": case.image,
        "registry": case.registry,
        "pods": list(answer.pods),
        "clusters": list(answer.clusters) or ([case.cluster] if case.cluster else []),
        "causes": [explain_report.cause_json(one) for one in diagnosis.causes],
        "authority": {
            "sha256": authority.fingerprint,
            "subject": authority.subject,
            "foundIn": authority.source,
            "entry": authority.name,
        }
        if authority
        else None,
        "hosts": [_host(one) for one in case.hosts],
        "message": explanation.parsed.text if explanation else "",
        "looks": [{"source": one.source, "words": one.text, "seen": one.is_available} for one in case.reports],
    }


def _host(host: Host) -> Json:
    return {
        "role": host.role,
        "address": host.address,
        "seenFrom": host.observed_from,
        "sha256": [hashlib.sha256(one).hexdigest() for one in host.certificates],
        "failure": host.failure,
    }
