"""The result of one node's proof for one registry, in the form that a ClusterTrust records."""

from datetime import datetime

from trustplane.api import clustertrust
from trustplane.api.clustertrust import ProofResult
from trustplane.proof.verdict import NotTrusted, ProofVerdict, Trusted, Unreachable
from trustplane.text import clean


def record_verdict(host: str, verdict: ProofVerdict, at: datetime | None = None) -> ProofResult:
    """Return a verdict as it is recorded and shown: a runtime prints what a registry sends it, and credentials."""
    if isinstance(verdict, Trusted):
        by = verdict.second_host
        return ProofResult(registry=host, verdict=clustertrust.TRUSTED, pulled=verdict.pulled, answered_by=by, at=at)
    name = clustertrust.UNREACHABLE if isinstance(verdict, Unreachable) else clustertrust.UNCLEAR
    reason = ""
    if isinstance(verdict, NotTrusted):
        name, reason = clustertrust.NOT_TRUSTED, str(verdict.reason)
    message = clean(verdict.detail, clustertrust.MAX_MESSAGE)
    return ProofResult(registry=host, verdict=name, reason=reason, message=message, at=at)
