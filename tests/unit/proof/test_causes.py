"""Proof and diagnosis read every message alike: a verdict is never another one than that of the diagnosis' cause."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from laboratory import table
from trustplane.diagnosis.cause import Code
from trustplane.diagnosis.endpoint import registry_of
from trustplane.diagnosis.explanation import explain
from trustplane.diagnosis.messages import messages_in
from trustplane.proof.causes import ACCEPTED, REFUSALS, UNREACHABLE, RefusalReason, is_unreachable, refusal_reason
from trustplane.proof.verdict import NotTrusted, ProofVerdict, Trusted, Unclear, Unreachable, parse_verdict

TESTS = Path(__file__).parents[2]
PULLS = json.loads((TESTS / "unit" / "diagnosis" / "pull-errors.json").read_text())
HINT = "(possibly because of"  # the diagnosis prefers the hint, the verdict the error itself


@cache
def corpus() -> list[tuple[str, str]]:
    """Return every message of the corpus with the registry that it is about."""
    return [*dict.fromkeys([*pulls(), *reports(), *scenarios()])]


def pulls() -> Iterator[tuple[str, str]]:
    yield from ((message, pull["host"]) for pull in PULLS.values() for message in pull["messages"].values() if message)


def reports() -> Iterator[tuple[str, str]]:
    for path in sorted((TESTS / "corpus" / "explain").glob("*.yaml")):
        for message in messages_in(str(yaml.safe_load(path.read_text()).get("text", ""))):
            parsed = explain(message.text, (), message.image).parsed
            yield message.text, registry_of(parsed.image) if parsed.image else parsed.endpoint.address


def scenarios() -> Iterator[tuple[str, str]]:
    yield from ((scenario.case.messages[0], scenario.case.registry) for scenario in table.scenarios())


def possible(code: Code) -> set[type[ProofVerdict]]:
    """Return the verdicts that do not contradict a cause."""
    if code in REFUSALS:
        return {NotTrusted, Unclear}
    if code in UNREACHABLE or code is Code.PROXY_FAILED:
        return {Unreachable, Unclear}
    return {Trusted, Unclear} if code in ACCEPTED else {Unclear}


def test_every_cause_has_one_meaning_for_a_proof() -> None:
    assert not REFUSALS.keys() & ACCEPTED
    assert not (REFUSALS.keys() | ACCEPTED) & UNREACHABLE
    assert len(corpus()) > 250


def test_no_verdict_contradicts_the_diagnosis() -> None:
    contradictions = []
    for message, host in corpus():
        verdict, codes = parse_verdict(message, host), explain(message).codes
        if not any(isinstance(verdict, kind) for code in codes for kind in possible(code)):
            contradictions.append((message, host, verdict, codes))
    assert contradictions == []


def test_a_refusal_has_the_reason_of_its_cause() -> None:
    different = []
    for message, host in corpus():
        verdict, codes = parse_verdict(message, host), explain(message).codes
        is_refused = isinstance(verdict, NotTrusted) and HINT not in message
        if is_refused and verdict.reason not in {REFUSALS.get(code) for code in codes}:
            different.append((message, verdict, codes))
    assert different == []


def test_a_cause_that_only_the_registry_can_report_is_a_proof() -> None:
    """Every recorded pull, whose message names its registry, gets the verdict of its cause, not `Unclear`."""
    meanings: dict[type[ProofVerdict], set[Code]] = {
        NotTrusted: set(REFUSALS),
        Unreachable: set(UNREACHABLE),
        Trusted: set(ACCEPTED),
    }
    names_no_host = {"blob404"}  # "reading blob sha256:...", said by CRI-O
    unclear = []
    for name, pull in PULLS.items():
        for message in filter(None, pull["messages"].values()):
            expected = next((kind for kind, codes in meanings.items() if pull["cause"] in codes), Unclear)
            if name not in names_no_host and not isinstance(parse_verdict(message, pull["host"]), expected):
                unclear.append((name, message))
    assert unclear == []


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("x509: certificate signed by unknown authority", RefusalReason.UNKNOWN_AUTHORITY),
        (
            'x509: certificate signed by unknown authority (possibly because of "x509: certificate has expired" while',
            "UnknownAuthority",
        ),
        ("x509: certificate is valid for x509: certificate has expired, not a", RefusalReason.NAME_MISMATCH),
        ("x509: a new rule: x509: certificate has expired", RefusalReason.INVALID_CHAIN),
        ("x509: too many intermediates for path length constraint", RefusalReason.INVALID_CHAIN),
    ],
)
def test_the_clients_own_words_give_the_reason(statement: str, reason: RefusalReason) -> None:
    assert refusal_reason(statement) == reason


@given(st.text(max_size=3000))
def test_any_statement_is_read(text: str) -> None:
    assert refusal_reason(f"x509: {text}") in RefusalReason
    assert is_unreachable(text) in {True, False}
