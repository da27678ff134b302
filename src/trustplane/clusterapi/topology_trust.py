"""The variable `trust` of a Cluster's topology, and the certificates in the Secrets that it names, before it is stored.

Source: sigs.k8s.io/cluster-api/api v1.14.2, core/v1beta2/cluster_types.go (Topology).
"""

import base64
import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from msgspec import UNSET

from trustplane.api.configuration import TrustedCA
from trustplane.api.fields import field
from trustplane.api.meta import Json
from trustplane.certificates.finding import Finding, Severity
from trustplane.certificates.lint import lint
from trustplane.clusterapi import left_out
from trustplane.clusterapi.left_out import TOPOLOGY_PATH, TRUST_VARIABLE
from trustplane.clusterapi.secret import entry_key
from trustplane.clusterapi.variable import TrustVariable, parse_trust_variable
from trustplane.errors import UserError
from trustplane.trust import entries
from trustplane.trust.removal import Listing, is_allowed, removal, removal_findings

_PLACE: Final = f"{TOPOLOGY_PATH}.variables[{TRUST_VARIABLE}]"

# `data` of Secrets by name: None where it is absent; a Secret that could not be read is left out.
SecretData = Mapping[str, Mapping[str, str] | None]


def cluster_secrets(after: Json, before: Json | None) -> set[str]:
    """Return the names of the Secrets that the values of both name; none where the values are equal."""
    if before is not None and trust_variable(after) == trust_variable(before):
        return set()
    trusts = [_read(trust_variable(one), one) for one in (after, before) if one and trust_variable(one) is not UNSET]
    return {one.secret_name for one in trusts if isinstance(one, TrustVariable) and one.names}


def cluster_findings(after: Json, before: Json | None, secrets: SecretData, at: dt.datetime) -> list[Finding]:
    """Judge the value of a Cluster where it differs from the one before, what it loses, and what is left out of it."""
    return [*left_out.exclusion_findings(after, before), *_of_value(after, before, secrets, at)]


def _of_value(after: Json, before: Json | None, secrets: SecretData, at: dt.datetime) -> list[Finding]:
    value, old = trust_variable(after), trust_variable(before) if before else UNSET
    if value == old:
        return []
    findings = [] if value is UNSET else _judged(_read(value, after), secrets, at)
    if before is None or any(one.severity is Severity.ERROR for one in findings):
        return findings
    allowed = is_allowed(field(after, "metadata", "annotations") or {})
    lost = removal(_listing(old, before, secrets), _listing(value, after, secrets))
    return [*(one.at(_PLACE) for one in removal_findings(lost, allowed=allowed)), *findings]


def trust_variable(cluster: Json) -> Any:
    """Return the value of the variable; UNSET without one."""
    variables = field(cluster, "spec", "topology", "variables") or ()
    return next((one.get("value") for one in variables if one.get("name") == TRUST_VARIABLE), UNSET)


def _read(value: Any, cluster: Json) -> TrustVariable | Finding:
    try:
        return parse_trust_variable(value, field(cluster, "metadata", "name") or "")
    except UserError as error:
        return Finding(code="bad-variable", what=error.what, why=error.why, next_step=error.next_step)


def _judged(trust: TrustVariable | Finding, secrets: SecretData, at: dt.datetime) -> list[Finding]:
    if isinstance(trust, Finding):
        return [trust.at(_PLACE)]
    if not trust.names:
        return []
    data = secrets.get(trust.secret_name)
    if data is None:
        return [(_absent if trust.secret_name in secrets else _unread)(trust).at(_PLACE)]
    where = f"Secret {trust.secret_name}"
    missing = [_missing(trust, name).at(f"{where} ({name})") for name in trust.names if _key(trust, name) not in data]
    listed = _listed(trust, data)
    wrong = entries.read(listed, where=where).findings
    odd = lint([(one.name, one.data) for one in listed], at, where=where)
    return [*(_for_secret(trust, one) for one in wrong), *missing, *odd]


def _listed(trust: TrustVariable, data: Mapping[str, str]) -> list[TrustedCA]:
    """Return the entries that the Secret has a key for, as a list has them."""
    return [TrustedCA(name=name, data=_data(trust, data, name)) for name in trust.names if _key(trust, name) in data]


def _key(trust: TrustVariable, name: str) -> str:
    return name if trust.has_user_secret else entry_key(name)


def _data(trust: TrustVariable, data: Mapping[str, str], name: str) -> str:
    """Return an entry as a list has it: base64 of PEM. A user's Secret holds it encoded once more."""
    value = data[_key(trust, name)]
    if not trust.has_user_secret:
        return value
    try:
        return base64.b64decode(value).decode("latin-1")
    except ValueError:
        return ""


def _for_secret(trust: TrustVariable, finding: Finding) -> Finding:
    """Say what to do where the entry is a key of a Secret."""
    if not trust.has_user_secret or finding.code not in {"not-base64", "double-base64"}:
        return finding
    return replace(
        finding,
        why="A value of this Secret is base64 of PEM, which `data` holds encoded once more: twice in all",
        next_step='Make it with --from-literal=NAME="$(base64 -w0 ca.pem)" of `kubectl create secret generic`',
    )


def _listing(value: Any, cluster: Json, secrets: SecretData) -> Listing:
    """Return what entries trust; an entry whose certificates cannot be read is known by its name alone."""
    trust = _read(value, cluster)
    if isinstance(trust, Finding):
        return {}
    data = secrets.get(trust.secret_name) or {}
    listed = _listed(trust, data)
    known = {one.name: one.fingerprints for one in entries.read(listed).trust.entries}
    return {name: known.get(name, (name,)) for name in trust.names}


def _absent(trust: TrustVariable) -> Finding:
    return Finding(
        code="no-secret",
        severity=Severity.WARNING,
        what=f"There is no Secret {trust.secret_name}, which holds the certificates",
        why="No machine can be made until it is there, and nobody has looked at the certificates",
        next_step="Make it, in the namespace of the Cluster",
    )


def _unread(trust: TrustVariable) -> Finding:
    return Finding(
        code="unread-secret",
        severity=Severity.WARNING,
        what=f"Secret {trust.secret_name} could not be read just now, so its certificates are not checked",
        next_step="Check them: `trustplane check` of that Secret's manifest",
    )


def _missing(trust: TrustVariable, name: str) -> Finding:
    return Finding(
        code="no-key",
        severity=Severity.WARNING,
        what=f"The Secret has no key {_key(trust, name)}",
        why="No machine can be made until it is there",
        next_step="Add it, or remove the entry",
    )
