from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from trustplane.certificates.finding import Finding, Severity
from trustplane.server.admission_answer import MAX_CAUSES, MAX_WARNINGS, WARNING_LENGTH, answer, warnings

REQUEST = {"uid": "7", "kind": {"group": "run.tanzu.vmware.com", "kind": "TkgServiceConfiguration"}, "name": "x"}
ERROR = Finding(code="der", what="It is DER", why="PEM is read.", next_step="Convert it", where="spec.list[0] (corp)")
ODD = Finding(code="crlf", severity=Severity.WARNING, what="Odd", where="spec.list[1] (corp)")

texts = st.text(max_size=400)
findings = st.builds(
    Finding,
    code=st.just("code"),
    what=texts,
    why=texts,
    next_step=texts,
    where=texts,
    severity=st.sampled_from(Severity),
)


def response(*found: Finding) -> Any:
    review = answer(REQUEST, found)
    assert (review["apiVersion"], review["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    return review["response"]


def test_nothing_found_is_allowed() -> None:
    assert response() == {"uid": "7", "allowed": True}


def test_warnings_are_passed_on() -> None:
    assert response(ODD) == {"uid": "7", "allowed": True, "warnings": ["spec.list[1] (corp): crlf: Odd"]}


def test_an_error_refuses_as_the_schema_does_and_warnings_come_along() -> None:
    refused = response(ODD, ERROR)
    assert refused["allowed"] is False
    assert refused["warnings"] == ["spec.list[1] (corp): crlf: Odd"]
    status = refused["status"]
    assert (status["code"], status["reason"], status["status"]) == (422, "Invalid", "Failure")
    text = "der: It is DER. PEM is read. Convert it"
    assert status["details"] == {
        "group": "run.tanzu.vmware.com",
        "kind": "TkgServiceConfiguration",
        "name": "x",
        "causes": [{"reason": "FieldValueInvalid", "message": text, "field": "spec.list[0] (corp)"}],
    }
    assert status["message"] == f"spec.list[0] (corp): {text}"


def test_of_many_errors_the_first_are_shown_and_the_rest_counted() -> None:
    causes = response(*[ERROR] * (MAX_CAUSES + 3))["status"]["details"]["causes"]
    assert len(causes) == MAX_CAUSES + 1
    assert causes[-1]["message"] == "3 more findings. See them all: trustplane check FILE"


def test_a_long_warning_loses_why_first_then_the_next_step_and_never_what() -> None:
    long = Finding(code="c", what="What", why="y" * 250, next_step="Do it", where="spec.trust.list[0] (registry.corp)")
    assert warnings([long]) == ["spec.trust.list[0] (registry.corp): c: What. Do it"]
    longer = Finding(code="c", what="What", why="y" * 250, next_step="n" * 250, where="spec.trust.list[0] (a.b)")
    assert warnings([longer]) == ["spec.trust.list[0] (a.b): c: What"]
    deep = Finding(code="c", what="w" * 200, where="spec.settings.network.trust.additionalTrustedCAs[0] (a.b)")
    assert warnings([deep]) == [f"additionalTrustedCAs[0] (a.b): c: {'w' * 200}"]


@given(st.lists(findings, max_size=30))
def test_whatever_is_found_fits_what_the_api_server_lets_through(found: list[Finding]) -> None:
    review = answer(REQUEST, found)
    assert msgspec.json.encode(review)
    lines = review["response"].get("warnings", [])
    assert len(lines) <= MAX_WARNINGS + 1
    assert sum(map(len, lines)) <= 4096
    for line in lines:
        assert len(line) <= WARNING_LENGTH
        assert line.isprintable()
    assert review["response"]["allowed"] is not any(one.severity is Severity.ERROR for one in found)
    assert len(str(review["response"].get("status", ""))) < 64_000
