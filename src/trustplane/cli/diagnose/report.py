"""Output of `trustplane diagnose`: for people, causes then evidence; for programs, JSON with all details."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from trustplane.cli.console import Console
from trustplane.cli.explain import report as explain_report
from trustplane.diagnosis.cause import Cause
from trustplane.diagnosis.decision import Diagnosis
from trustplane.diagnosis.facts import Case, CollectorReport, Host

Json = dict[str, Any]
_MAX_NAMES = 5  # listed pods or clusters


@dataclass(frozen=True)
class CaseDiagnosis:
    """A case, its diagnosis, and the affected pods and clusters."""

    case: Case
    diagnosis: Diagnosis
    pods: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()


def exit_code(diagnoses: Sequence[CaseDiagnosis]) -> int:
    """Return the exit code of the least certain diagnosis."""
    return max((item.diagnosis.exit_code for item in diagnoses), default=0)


def show_diagnoses(console: Console, diagnoses: Sequence[CaseDiagnosis]) -> None:
    """Print diagnoses for people; print evidence sources shared by consecutive diagnoses once."""
    for number, item in enumerate(diagnoses):
        if number:
            console.print()
        _show(console, item)
        is_last = number == len(diagnoses) - 1
        if is_last or diagnoses[number + 1].case.reports != item.case.reports:
            _show_sources(console, item.case.reports)


def _show(console: Console, item: CaseDiagnosis) -> None:
    causes = item.diagnosis.causes
    console.print(Text(_subject(item), "bold"), soft_wrap=True)
    if not causes:
        console.print("   no problem with its certificates")
    if len(causes) > 1:
        console.print(f"   {len(causes)} causes fit, most likely first:")
    for number, cause in enumerate(causes, 1):
        rank = f"{number}. " if len(causes) > 1 else ""
        console.print(Text.assemble(f"   {rank}", (str(cause.code), "bold"), f": {cause.meaning}"), soft_wrap=True)
        _rows(console, _cause(cause))
    _rows(console, _about(item))


def _subject(item: CaseDiagnosis) -> str:
    case = item.case
    if not case.image:
        subject = _shorten(item.clusters) or (
            "new clusters (the service's list)" if case.desired else "no known trust list"
        )
        return f"Registry {case.registry}, for {subject}"
    return f"{case.image}, for pod {_shorten(item.pods)}"


def _shorten(names: Sequence[str]) -> str:
    named, more = ", ".join(names[:_MAX_NAMES]), len(names) - _MAX_NAMES
    return f"{named} and {more} more" if more > 0 else named


def _rows(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    width = max((len(title) for title, _ in rows), default=0)
    for title, text in rows:
        console.print(f"      {title:<{width}}  {text}", soft_wrap=True)


def _cause(cause: Cause) -> list[tuple[str, str]]:
    return [
        ("confidence:", f"{cause.confidence}, because {cause.reason}"),
        ("who acts:", str(cause.actor)),
        ("next:", cause.next_step),
    ]


def _about(item: CaseDiagnosis) -> list[tuple[str, str]]:
    diagnosis, rows = item.diagnosis, []
    authority = diagnosis.authority
    if authority and authority.fingerprint:
        entry = f" (entry {authority.name})" if authority.name else ""
        rows.append(("CA:", f"{authority.subject}, found in {authority.source}{entry}"))
        rows.append(("SHA-256:", authority.fingerprint))
    elif authority:
        rows.append(("CA:", f"{authority.subject}: its certificate is unknown, {authority.source} has it"))
    explanation = diagnosis.explanation
    if explanation:
        if host := explain_report.failed_host(explanation.parsed):
            rows.append(("failed:", host))
        rows += [(f"{layer.kind}:", explain_report.layer_text(layer)) for layer in explanation.parsed.layers]
    return rows


def _show_sources(console: Console, reports: Sequence[CollectorReport]) -> None:
    for title, is_available in (("Evidence:", True), ("Unavailable evidence:", False)):
        rows = [(f"{report.source}:", report.text) for report in reports if report.is_available is is_available]
        if rows:
            console.print(title)
            _rows(console, rows)


def as_json(diagnoses: Sequence[CaseDiagnosis]) -> Json:
    """Return diagnoses for programs."""
    return {"exitCode": exit_code(diagnoses), "answers": [_answer(item) for item in diagnoses]}


def _answer(item: CaseDiagnosis) -> Json:
    case, diagnosis = item.case, item.diagnosis
    authority, explanation = diagnosis.authority, diagnosis.explanation
    return {
        "image": case.image,
        "registry": case.registry,
        "pods": list(item.pods),
        "clusters": list(item.clusters) or ([case.cluster] if case.cluster else []),
        "causes": [explain_report.cause_json(cause) for cause in diagnosis.causes],
        "notSeen": list(diagnosis.unseen),
        "authority": {
            "sha256": authority.fingerprint,
            "subject": authority.subject,
            "foundIn": authority.source,
            "entry": authority.name,
        }
        if authority
        else None,
        "hosts": [_host(host) for host in case.hosts],
        "message": explanation.parsed.text if explanation else "",
        "looks": [
            {"source": report.source, "words": report.text, "seen": report.is_available} for report in case.reports
        ],
    }


def _host(host: Host) -> Json:
    return {
        "role": host.role,
        "address": host.address,
        "seenFrom": host.observed_from,
        "sha256": [hashlib.sha256(der).hexdigest() for der in host.certificates],
        "failure": host.failure,
    }
