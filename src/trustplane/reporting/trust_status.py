"""Conditions about trust on a cluster and on the service's configuration."""

from collections.abc import Sequence
from datetime import datetime

from trustplane.api import clustertrust, conditions
from trustplane.api.cluster import ClusterCondition, TanzuKubernetesCluster
from trustplane.api.clustertrust import ClusterTrust
from trustplane.api.condition_merge import merge, timestamp, to_json
from trustplane.api.configuration import GROUP, NAME, TkgServiceConfiguration, is_customised
from trustplane.api.meta import Condition, Json, condition
from trustplane.certificates.finding import Finding, Severity
from trustplane.clusterapi.readiness import ERROR, INFO, WARNING, false_condition, true_condition
from trustplane.reporting.cluster_trust import describe_set
from trustplane.trust.entries import ParsedList, update_advice
from trustplane.trust.list_sources import uses_last_good_list
from trustplane.trust.propagation import SET_UNDONE, PropagationDecision

_SHOWN_FINDINGS = 10
LAST_GOOD_STAYS = ". The service's list is missing, so the last good list stays in use: see TrustValid"
_LAST_GOOD_STAYS = "Until then the last good list stays in use"


def trust_conditions(
    tkc: TanzuKubernetesCluster, decision: PropagationDecision, trust: ClusterTrust | None
) -> list[ClusterCondition]:
    """Return TrustCurrent and TrustValid of a cluster.

    Args:
        tkc: The cluster.
        decision: About its trust.
        trust: The report on its nodes; ignored if it is about another set.
    """
    return [_current(tkc, decision, trust), _valid(decision.findings)]


def _current(
    tkc: TanzuKubernetesCluster, decision: PropagationDecision, trust: ClusterTrust | None
) -> ClusterCondition:
    type_ = conditions.TRUST_CURRENT
    if decision.trust is None or (decision.is_invalid and not decision.is_current):
        message = "A list has errors, so the set in force stays as it is: see TrustValid"
        return false_condition(type_, conditions.TRUST_INVALID, message, severity=ERROR)
    if decision.reason == SET_UNDONE:
        message = (
            f"Back in force until the next update: {describe_set(decision.trust)}. {_describe_held(tkc, decision)}"
        )
        return false_condition(type_, conditions.TRUST_UNDONE, message, severity=WARNING)
    if not decision.is_current:
        message = (
            f"Not in force yet: {decision.difference.text}. {update_advice(decision.difference, _update_command(tkc))}"
        )
        return false_condition(type_, conditions.TRUST_HELD, message, severity=WARNING)
    if (waiting := _waiting(decision, trust)) is not None:
        return waiting
    count = len(decision.trust)
    reason = decision.record.reason if decision.record else decision.reason
    kept = LAST_GOOD_STAYS if uses_last_good_list(decision) else ""
    return true_condition(type_, reason, f"{count} {'entry' if count == 1 else 'entries'} in force{kept}")


def _describe_held(tkc: TanzuKubernetesCluster, decision: PropagationDecision) -> str:
    if not decision.difference:
        return f"`{_update_command(tkc)}` ends the undo"
    return f"Held back: {decision.difference.text}. {update_advice(decision.difference, _update_command(tkc))}"


def _waiting(decision: PropagationDecision, trust: ClusterTrust | None) -> ClusterCondition | None:
    """Return a condition that explains which nodes lack the set in force; None if every node has it."""
    type_, digest = conditions.TRUST_CURRENT, decision.trust.digest if decision.trust is not None else ""
    status = trust.status if trust else None
    current = condition(status.conditions, clustertrust.CURRENT) if status else None
    if status is None or current is None or status.in_force is None or status.in_force.digest != digest:
        message = "Nodes are being created or updated with the set: no report on them yet"
        return false_condition(type_, conditions.TRUST_UPDATING, message, severity=INFO)
    if current.status == conditions.TRUE:
        return None
    if current.reason == conditions.TRUST_STOPPED:
        return false_condition(type_, conditions.TRUST_STOPPED, current.message, severity=ERROR)
    message = f"Nodes are being created or updated with the set: {current.message}"
    return false_condition(type_, conditions.TRUST_UPDATING, message, severity=INFO)


def _update_command(tkc: TanzuKubernetesCluster) -> str:
    return f"trustplane update {tkc.metadata.name} --namespace {tkc.metadata.namespace}"


def _valid(findings: Sequence[Finding]) -> ClusterCondition:
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        message = f"{join_findings(errors)}. {_LAST_GOOD_STAYS}"
        return false_condition(conditions.TRUST_VALID, conditions.TRUST_INVALID, message, severity=ERROR)
    if findings:
        return true_condition(conditions.TRUST_VALID, conditions.TRUST_WARNINGS, join_findings(findings))
    return true_condition(conditions.TRUST_VALID)


def join_findings(findings: Sequence[Finding]) -> str:
    """Join findings to one message; count those above the limit."""
    texts = [str(finding) for finding in findings[:_SHOWN_FINDINGS]]
    more = len(findings) - len(texts)
    return "; ".join([*texts, f"and {more} more"] if more else texts)


def service_configuration_status(configuration: TkgServiceConfiguration, reading: ParsedList, *, now: datetime) -> Json:
    """Return the service's configuration with its status, for a server-side apply of subresource `status`.

    Args:
        configuration: The configuration with its current status.
        reading: Its list, as `list_sources.parse_service_list` returns it.
        now: The time; becomes `firstCustomizedAt` when the object is customised for the first time.
    """
    generation = configuration.metadata.generation
    valid = _valid(reading.findings)
    plain = Condition(
        type=valid.type,
        status=valid.status,
        reason=valid.reason,
        message=valid.message,
        observed_generation=generation,
    )
    customised = is_customised(configuration.spec) or uses_last_good_list(reading)
    first = configuration.status.first_customized_at or (now if customised else None)
    return {
        "apiVersion": configuration.api_version or f"{GROUP}/v1alpha3",
        "kind": "TkgServiceConfiguration",
        "metadata": {"name": NAME},
        "status": {
            **({"firstCustomizedAt": timestamp(first)} if first else {}),
            "observedGeneration": generation,
            "conditions": to_json(merge(configuration.status.conditions, [plain], now)),
        },
    }
