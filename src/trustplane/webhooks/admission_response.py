"""AdmissionReview responses from findings: warnings printed by kubectl, and a refusal. Pure.

Source: k8s.io/api v0.36, admission/v1 (AdmissionResponse); k8s.io/apiserver, pkg/endpoints/filters/warning.go, which
cuts each warning to 256 characters once all warnings of a request exceed 4096, and drops those with control characters;
k8s.io/kubectl, pkg/cmd/util/helpers.go, which prints the causes of a refusal for reason `Invalid`, and not the patch.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from trustplane.api.meta import Json
from trustplane.certificates.finding import Finding, Severity

API_VERSION: Final = "admission.k8s.io/v1"
WARNING_LENGTH: Final = 256
# Leaves some of the 4096 characters to other sources of warnings.
MAX_WARNINGS: Final = 12
MAX_CAUSES: Final = 10
_CAUSE_LENGTH: Final = 1000
_UNPROCESSABLE: Final = 422


def review_response(request: Json, findings: Sequence[Finding]) -> Json:
    """Return the AdmissionReview that answers a request; refuse it if any finding is an error."""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    others = [finding for finding in findings if finding.severity is not Severity.ERROR]
    response: Json = {"uid": request.get("uid", ""), "allowed": not errors}
    if errors:
        response["status"] = refusal_status(request, errors)
    if others:
        response["warnings"] = warning_texts(others)
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}


def refusal_status(request: Json, errors: Sequence[Finding]) -> Json:
    """Return the metav1.Status of a refusal, in the format of the API server's schema violations."""
    causes = [_cause(error) for error in errors[:MAX_CAUSES]]
    if len(errors) > MAX_CAUSES:
        causes.append({"reason": "FieldValueInvalid", "message": _more(len(errors) - MAX_CAUSES), "field": "spec"})
    kind = request.get("kind") or {}
    return {
        "status": "Failure",
        "code": _UNPROCESSABLE,
        "reason": "Invalid",
        "message": "; ".join(f"{cause['field']}: {cause['message']}" for cause in causes),
        "details": {
            "group": kind.get("group", ""),
            "kind": kind.get("kind", ""),
            "name": request.get("name", ""),
            "causes": causes,
        },
    }


def warning_texts(findings: Sequence[Finding]) -> list[str]:
    """Return the texts printed by kubectl after `Warning: `, each within the API server's limits."""
    texts = [_warning(finding) for finding in findings[:MAX_WARNINGS]]
    more = len(findings) - MAX_WARNINGS
    return [*texts, _more(more)] if more > 0 else texts


def _cause(finding: Finding) -> Json:
    text = ". ".join(_parts(finding.what, finding.why, finding.next_step))
    message = _printable(f"{finding.code}: {text}")[:_CAUSE_LENGTH]
    return {"reason": "FieldValueInvalid", "message": message, "field": _printable(finding.where)}


def _warning(finding: Finding) -> str:
    """Return the longest variant that fits: drop the reason first, then the next step, never the problem."""
    return next(text for text in _shrinking(finding) if len(text) <= WARNING_LENGTH)


def _shrinking(finding: Finding) -> Iterator[str]:
    full_path, what, why, step = finding.where, finding.what, finding.why, finding.next_step
    path, bracket, entry = full_path.partition("[")
    for where in (full_path, path.rpartition(".")[2] + bracket + entry):
        head = f"{where}: {finding.code}: " if where else f"{finding.code}: "
        for parts in ((what, why, step), (what, step), (what,)):
            yield _printable(head + ". ".join(_parts(*parts)))
    yield _printable(f"{finding.code}: {what} ({full_path})")[: WARNING_LENGTH - 1] + "…"


def _parts(*texts: str) -> Iterable[str]:
    return (text.rstrip(".") for text in texts if text)


def _printable(text: str) -> str:
    """Replace control characters, which would make the API server drop the warning."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _more(count: int) -> str:
    return f"{count} more findings. To see all of them: trustplane check FILE"
