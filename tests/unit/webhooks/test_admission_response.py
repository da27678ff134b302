from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from trustplane.certificates.finding import Finding, Severity
from trustplane.webhooks.admission_response import (
    MAX_CAUSES,
    MAX_WARNINGS,
    WARNING_LENGTH,
    review_response,
    warning_texts,
)

REQUEST = {"uid": "7", "kind": {"group": "run.tanzu.vmware.com", "kind": "TkgServiceConfiguration"}, "name": "x"}
ERROR = Finding(code="der", what="It is DER", why="PEM is read.", next_step="Convert it", where="spec.list[0] (corp)")
WARNING = Finding(code="crlf", severity=Severity.WARNING, what="Odd", where="spec.list[1] (corp)")

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


def response(*results: Finding) -> Any:
    review = review_response(REQUEST, results)
    assert (review["apiVersion"], review["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    return review["response"]


def test_without_findings_the_object_is_allowed() -> None:
    assert response() == {"uid": "7", "allowed": True}


def test_warnings_are_passed_on() -> None:
    assert response(WARNING) == {"uid": "7", "allowed": True, "warnings": ["spec.list[1] (corp): crlf: Odd"]}


def test_an_error_refuses_like_the_schema_and_keeps_the_warnings() -> None:
    refused = response(WARNING, ERROR)
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


def test_many_errors_are_cut_to_the_first_and_a_count() -> None:
    causes = response(*[ERROR] * (MAX_CAUSES + 3))["status"]["details"]["causes"]
    assert len(causes) == MAX_CAUSES + 1
    assert causes[-1]["message"] == "3 more findings. To see all of them: trustplane check FILE"


def test_a_long_warning_loses_its_reason_first_then_its_next_step() -> None:
    long = Finding(code="c", what="What", why="y" * 250, next_step="Do it", where="spec.trust.list[0] (registry.corp)")
    assert warning_texts([long]) == ["spec.trust.list[0] (registry.corp): c: What. Do it"]
    longer = Finding(code="c", what="What", why="y" * 250, next_step="n" * 250, where="spec.trust.list[0] (a.b)")
    assert warning_texts([longer]) == ["spec.trust.list[0] (a.b): c: What"]
    deep = Finding(code="c", what="w" * 200, where="spec.settings.network.trust.additionalTrustedCAs[0] (a.b)")
    assert warning_texts([deep]) == [f"additionalTrustedCAs[0] (a.b): c: {'w' * 200}"]


@given(st.lists(findings, max_size=30))
def test_all_responses_respect_the_api_servers_limits(results: list[Finding]) -> None:
    review = review_response(REQUEST, results)
    assert msgspec.json.encode(review)
    lines = review["response"].get("warnings", [])
    assert len(lines) <= MAX_WARNINGS + 1
    assert sum(map(len, lines)) <= 4096
    for line in lines:
        assert len(line) <= WARNING_LENGTH
        assert line.isprintable()
    assert review["response"]["allowed"] is not any(finding.severity is Severity.ERROR for finding in results)
    assert len(str(review["response"].get("status", ""))) < 64_000
