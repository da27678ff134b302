"""Validate, at admission, variable `trust` of a Cluster's topology and the certificates in the Secrets that it names.

Source: sigs.k8s.io/cluster-api/api v1.14.2, core/v1beta2/cluster_types.go (Topology).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from msgspec import UNSET

from trustplane.api.fields import field
from trustplane.api.meta import Json
from trustplane.certificates.finding import Finding, Severity
from trustplane.certificates.lint import lint
from trustplane.clusterapi import exclusions
from trustplane.clusterapi.exclusions import TOPOLOGY_PATH, TRUST_VARIABLE
from trustplane.clusterapi.secret import decode_user_value, entry_key
from trustplane.clusterapi.variable import TrustVariable, parse_trust_variable
from trustplane.errors import UserError
from trustplane.trust import entries
from trustplane.trust.removal import FingerprintsByName, allows_removal, check_removal, compare_fingerprints

_PATH: Final = f"{TOPOLOGY_PATH}.variables[{TRUST_VARIABLE}]"

# `data` of Secrets by name: None if the Secret is absent; a Secret that could not be read is left out.
SecretData = Mapping[str, Mapping[str, str] | None]


def cluster_secrets(after: Json, before: Json | None) -> set[str]:
    """Return the names of the Secrets in both values; none if the values are equal."""
    if before is not None and trust_variable(after) == trust_variable(before):
        return set()
    clusters = [cluster for cluster in (after, before) if cluster and trust_variable(cluster) is not UNSET]
    trusts = [_parse(trust_variable(cluster), cluster) for cluster in clusters]
    return {trust.secret_name for trust in trusts if isinstance(trust, TrustVariable) and trust.names}


def cluster_findings(after: Json, before: Json | None, secrets: SecretData, at: dt.datetime) -> list[Finding]:
    """Return the findings about a changed value: its entries, its removals, and what is excluded from trust."""
    return [*exclusions.exclusion_findings(after, before), *_value_findings(after, before, secrets, at)]


def _value_findings(after: Json, before: Json | None, secrets: SecretData, at: dt.datetime) -> list[Finding]:
    value, old = trust_variable(after), trust_variable(before) if before else UNSET
    if value == old:
        return []
    findings = [] if value is UNSET else _entry_findings(_parse(value, after), secrets, at)
    if before is None or any(finding.severity is Severity.ERROR for finding in findings):
        return findings
    allowed = allows_removal(field(after, "metadata", "annotations") or {})
    lost = compare_fingerprints(_listing(old, before, secrets), _listing(value, after, secrets))
    return [*(finding.at(_PATH) for finding in check_removal(lost, allowed=allowed)), *findings]


def trust_variable(cluster: Json) -> Any:
    """Return the value of the variable; UNSET without one."""
    variables = field(cluster, "spec", "topology", "variables") or ()
    return next((variable.get("value") for variable in variables if variable.get("name") == TRUST_VARIABLE), UNSET)


def _parse(value: Any, cluster: Json) -> TrustVariable | Finding:
    try:
        return parse_trust_variable(value, field(cluster, "metadata", "name") or "")
    except UserError as error:
        return Finding(code="bad-variable", what=error.what, why=error.why, next_step=error.next_step)


def _entry_findings(trust: TrustVariable | Finding, secrets: SecretData, at: dt.datetime) -> list[Finding]:
    if isinstance(trust, Finding):
        return [trust.at(_PATH)]
    if not trust.names:
        return []
    data = secrets.get(trust.secret_name)
    if data is None:
        return [(_absent_secret if trust.secret_name in secrets else _unread_secret)(trust).at(_PATH)]
    where = f"Secret {trust.secret_name}"
    absent = [name for name in trust.names if _key(trust, name) not in data]
    missing = [_missing_key(trust, name).at(f"{where} ({name})") for name in absent]
    listed = _trust_list(trust, data)
    defects = entries.parse_entries(listed, where=where).findings
    oddities = lint(listed, at, where=where)
    return [*(_adapted(trust, finding) for finding in defects), *missing, *oddities]


def _trust_list(trust: TrustVariable, data: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the entries with a key in the Secret, each a name and base64 of PEM."""
    keys = {name: _key(trust, name) for name in trust.names}
    values = {name: data[key] for name, key in keys.items() if key in data}
    return [(name, decode_user_value(value) if trust.has_user_secret else value) for name, value in values.items()]


def _key(trust: TrustVariable, name: str) -> str:
    return name if trust.has_user_secret else entry_key(name)


def _adapted(trust: TrustVariable, finding: Finding) -> Finding:
    """Return a finding with the reason and next step for a key of a Secret."""
    if not trust.has_user_secret or finding.code not in {"not-base64", "double-base64"}:
        return finding
    return replace(
        finding,
        why="Each value of this Secret is base64 of PEM, and `data` encodes it once more: twice in total",
        next_step='Create it by `kubectl create secret generic` with --from-literal=NAME="$(base64 -w0 ca.pem)"',
    )


def _listing(value: Any, cluster: Json, secrets: SecretData) -> FingerprintsByName:
    """Return the fingerprints by entry; an entry with unreadable certificates is identified by its name."""
    trust = _parse(value, cluster)
    if isinstance(trust, Finding):
        return {}
    data = secrets.get(trust.secret_name) or {}
    listed = _trust_list(trust, data)
    known = {entry.name: entry.fingerprints for entry in entries.parse_entries(listed).trust.entries}
    return {name: known.get(name, (name,)) for name in trust.names}


def _absent_secret(trust: TrustVariable) -> Finding:
    return Finding(
        code="no-secret",
        severity=Severity.WARNING,
        what=f"Secret {trust.secret_name} with the certificates does not exist",
        why="No machine can be created until it exists, and its certificates have not been checked",
        next_step="Create it in the namespace of the Cluster",
    )


def _unread_secret(trust: TrustVariable) -> Finding:
    return Finding(
        code="unread-secret",
        severity=Severity.WARNING,
        what=f"Secret {trust.secret_name} could not be read, so its certificates have not been checked",
        next_step="Run `trustplane check` on the Secret's manifest",
    )


def _missing_key(trust: TrustVariable, name: str) -> Finding:
    return Finding(
        code="no-key",
        severity=Severity.WARNING,
        what=f"The Secret has no key {_key(trust, name)}",
        why="No machine can be created until it exists",
        next_step="Add the key or remove the entry",
    )
