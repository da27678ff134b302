"""Findings as the API server passes them on: warnings that kubectl prints, and a refusal. Pure.

Source: k8s.io/api v0.36, admission/v1 (AdmissionResponse); k8s.io/apiserver, pkg/endpoints/filters/warning.go, which
cuts each warning to 256 characters once all of a request are longer than 4096, and drops those with control characters;
k8s.io/kubectl, pkg/cmd/util/helpers.go, which prints the causes of a refusal for reason `Invalid`, and not the patch.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from trustplane.api.meta import Json
from trustplane.certificates.finding import Finding, Severity

API_VERSION: Final = "admission.k8s.io/v1"
WARNING_LENGTH: Final = 256
# Others' warnings about the same request need some of the 4096 characters.
MAX_WARNINGS: Final = 12
MAX_CAUSES: Final = 10
_CAUSE_LENGTH: Final = 1000
_UNPROCESSABLE: Final = 422


def answer(request: Json, findings: Sequence[Finding]) -> Json:
    """Return the AdmissionReview that answers a request: refused where a finding is an error."""
    errors = [one for one in findings if one.severity is Severity.ERROR]
    odd = [one for one in findings if one.severity is not Severity.ERROR]
    response: Json = {"uid": request.get("uid", ""), "allowed": not errors}
    if errors:
        response["status"] = refusal(request, errors)
    if odd:
        response["warnings"] = warnings(odd)
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}


def refusal(request: Json, errors: Sequence[Finding]) -> Json:
    """Return the metav1.Status of a refusal, in the form that the API server gives those of a schema."""
    causes = [_cause(one) for one in errors[:MAX_CAUSES]]
    if len(errors) > MAX_CAUSES:
        causes.append({"reason": "FieldValueInvalid", "message": _more(len(errors) - MAX_CAUSES), "field": "spec"})
    kind = request.get("kind") or {}
    return {
        "status": "Failure",
        "code": _UNPROCESSABLE,
        "reason": "Invalid",
        "message": "; ".join(f"{one['field']}: {one['message']}" for one in causes),
        "details": {
            "group": kind.get("group", ""),
            "kind": kind.get("kind", ""),
            "name": request.get("name", ""),
            "causes": causes,
        },
    }


def warnings(findings: Sequence[Finding]) -> list[str]:
    """Return what kubectl prints after `Warning: `, each whole within what the API server lets through."""
    shown = [_warning(one) for one in findings[:MAX_WARNINGS]]
    more = len(findings) - MAX_WARNINGS
    return [*shown, _more(more)] if more > 0 else shown


def _cause(finding: Finding) -> Json:
    text = ". ".join(_parts(finding.what, finding.why, finding.next_step))
    message = _printable(f"{finding.code}: {text}")[:_CAUSE_LENGTH]
    return {"reason": "FieldValueInvalid", "message": message, "field": _printable(finding.where)}


def _warning(finding: Finding) -> str:
    """Write as many parts as fit: what to do is worth more than why, and both less than what."""
    return next(text for text in _shorter_and_shorter(finding) if len(text) <= WARNING_LENGTH)


def _shorter_and_shorter(finding: Finding) -> Iterator[str]:
    place, what, why, step = finding.where, finding.what, finding.why, finding.next_step
    path, bracket, entry = place.partition("[")
    for where in (place, path.rpartition(".")[2] + bracket + entry):
        head = f"{where}: {finding.code}: " if where else f"{finding.code}: "
        for parts in ((what, why, step), (what, step), (what,)):
            yield _printable(head + ". ".join(_parts(*parts)))
    yield _printable(f"{finding.code}: {what} ({place})")[: WARNING_LENGTH - 1] + "…"


def _parts(*texts: str) -> Iterable[str]:
    return (one.rstrip(".") for one in texts if one)


def _printable(text: str) -> str:
    """Names and subjects are the user's: a control character in them would lose the whole warning."""
    return "".join(one if one.isprintable() else "?" for one in text)


def _more(count: int) -> str:
    return f"{count} more findings. See them all: trustplane check FILE"
