"""Checks of variable `trust` of Clusters, and of the Secret it refers to."""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

import yaml

from trustplane.api.meta import Json
from trustplane.certificates.finding import Finding, error, warning
from trustplane.cli.check.reading import string_value
from trustplane.cli.manifests import child, items, line_number, object_label, object_name, pairs, scalar, span
from trustplane.clusterapi.exclusions import (
    MACHINE_DEPLOYMENTS_FIELD,
    MACHINE_POOLS_FIELD,
    TOPOLOGY_PATH,
    TRUST_OVERRIDE,
    TRUST_VARIABLE,
    machine_pools_finding,
)
from trustplane.clusterapi.secret import entry_key
from trustplane.clusterapi.variable import TRUST_SCHEMA, TrustVariable, parse_trust_variable
from trustplane.errors import UserError
from trustplane.trust.entries import printable_name

_GROUP = "cluster.x-k8s.io/"
_ENTRIES = "additionalTrustedCAs"
_FIELDS = {"Secret": ("data", "stringData"), "ConfigMap": ("data", "binaryData")}
_INLINE_CLASS = "tkg-"  # classes of TKG 2.1 and later, such as tkg-vsphere-default-v1.0.0: entries have data
_ENTRY_SCHEMA: Json = TRUST_SCHEMA["properties"][_ENTRIES]["items"]


@dataclass(frozen=True)
class SecretValue:
    """One key of a Secret in a manifest."""

    field: str  # data or stringData
    key: str
    text: str
    line: int
    span: tuple[int, int] | None


@dataclass(frozen=True)
class ManifestSecret:
    """A Secret or ConfigMap in a manifest."""

    name: str
    namespace: str  # empty: kubectl's default
    values: tuple[SecretValue, ...]
    kind: str = "Secret"

    @classmethod
    def read(cls, node: yaml.Node, kind: str = "Secret") -> "ManifestSecret":
        """Read an object of this kind; as in the API server, a Secret's `stringData` overrides its `data`."""
        values = {
            scalar(name): SecretValue(field, scalar(name), scalar(value), line_number(name), span(value))
            for field in _FIELDS[kind]
            for name, value in pairs(child(node, field))
        }
        name, namespace = (scalar(child(node, "metadata", part)) for part in ("name", "namespace"))
        return cls(name, namespace, tuple(values.values()), kind)


@dataclass(frozen=True)
class VariableInFile:
    """A value of variable `trust`, of a Cluster or of one group of its machines."""

    cluster: str
    namespace: str
    where: str
    line: int
    value: Any
    unknown: tuple[str, ...] = ()  # fields outside the schema
    is_override: bool = False
    pools: tuple[str, ...] = ()  # MachinePools of a Cluster with this variable

    def trust(self) -> TrustVariable:
        """Parse the value.

        Raises:
            UserError: Cluster API or Trustplane would refuse it.
        """
        if self.unknown:
            raise UserError(
                f"Variable trust has fields outside its schema: {', '.join(dict.fromkeys(self.unknown))}",
                why="Cluster API refuses the Cluster. Certificates belong into a Secret, not into the variable. "
                f"The fields are {', '.join((*TRUST_SCHEMA['properties'], *_ENTRY_SCHEMA['properties']))}",
                next_step="Remove the fields, or correct their names; see `Cluster` in docs/reference/api.md",
            )
        return parse_trust_variable(self.value, self.cluster)

    def find_secret(self, secrets: Iterable[ManifestSecret], name: str) -> ManifestSecret | None:
        """Return the Secret with this name in the Cluster's namespace."""
        return find_secret(secrets, name, self.namespace)


def find_secret(secrets: Iterable[ManifestSecret], name: str, namespace: str) -> ManifestSecret | None:
    """Return the Secret with this name in the namespace; one without a namespace may be in any."""
    for secret in secrets:
        if secret.name == name and (secret.namespace == namespace or "" in (secret.namespace, namespace)):
            return secret
    return None


def is_cluster(node: yaml.Node) -> bool:
    """Return whether an object is Cluster API's Cluster, of any version."""
    return scalar(child(node, "kind")) == "Cluster" and scalar(child(node, "apiVersion")).startswith(_GROUP)


def inline_lists(node: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    """Yield the lists of variable `trust` whose entries have `data`, as the classes of TKG 2.1 take them."""
    topology = child(node, "spec", "topology")
    cluster_class = scalar(child(topology, "class")) or scalar(child(topology, "classRef", "name"))
    if cluster_class.startswith(_INLINE_CLASS):
        for variable in items(child(topology, "variables")):
            entries = child(variable, "value", _ENTRIES)
            if scalar(child(variable, "name")) == TRUST_VARIABLE and isinstance(entries, yaml.SequenceNode):
                yield f"Cluster {object_label(node)} {TOPOLOGY_PATH}.variables ({TRUST_VARIABLE})", entries


def trust_variables(node: yaml.Node) -> Iterator[VariableInFile]:
    """Yield the values of variable `trust` in a Cluster, including the overrides of machine groups."""
    topology = child(node, "spec", "topology")
    pools = tuple(
        printable_name(scalar(child(pool, "name"))) for pool in items(child(topology, "workers", MACHINE_POOLS_FIELD))
    )
    if not any(inline_lists(node)):
        yield from _from_list(node, "variables", child(topology, "variables"), pools=pools)
    groups = [("controlPlane", child(topology, "controlPlane"))]
    for kind in (MACHINE_DEPLOYMENTS_FIELD, MACHINE_POOLS_FIELD):
        machines = enumerate(items(child(topology, "workers", kind)))
        groups += [(f"workers.{kind}[{index}]", group) for index, group in machines]
    for path, group in groups:
        overrides = child(group, "variables", "overrides")
        yield from _from_list(node, f"{path}.variables.overrides", overrides, is_override=True)


def _from_list(node: yaml.Node, path: str, variables: yaml.Node | None, **facts: Any) -> Iterator[VariableInFile]:
    name, namespace = (scalar(child(node, "metadata", part)) for part in ("name", "namespace"))
    for variable in items(variables):
        if scalar(child(variable, "name")) == TRUST_VARIABLE:
            where = f"Cluster {object_label(node)} {TOPOLOGY_PATH}.{path} ({TRUST_VARIABLE})"
            value = child(variable, "value")
            unknown = tuple(_unknown_fields(value))
            yield VariableInFile(name, namespace, where, line_number(variable), _known_fields(value), unknown, **facts)


def _known_fields(value: yaml.Node | None) -> Json:
    """Return the fields of the schema."""
    entries = child(value, _ENTRIES)
    listed = [{"name": string_value(child(entry, "name"))} if isinstance(entry, yaml.MappingNode) else None
              for entry in items(entries)]  # fmt: skip
    known: Json = {_ENTRIES: listed if isinstance(entries, yaml.SequenceNode) else None}
    secret_name = child(value, "secretName")
    return known if secret_name is None else known | {"secretName": string_value(secret_name)}


def _unknown_fields(value: yaml.Node | None) -> Iterator[str]:
    for node, schema in ((value, TRUST_SCHEMA), *((entry, _ENTRY_SCHEMA) for entry in items(child(value, _ENTRIES)))):
        for name, _ in pairs(node):
            if scalar(name) not in schema["properties"]:
                yield printable_name(scalar(name))


@dataclass(frozen=True)
class VariableReport:
    """The findings about a variable, without access to a cluster."""

    variable: VariableInFile
    findings: tuple[Finding, ...] = ()
    undecided: str = ""
    secret: ManifestSecret | None = None  # the Secret with PEM under `<name>.pem`


def check_variable(variable: VariableInFile, secrets: Iterable[ManifestSecret]) -> VariableReport:
    """Check a variable like Cluster API and Trustplane, given the Secrets of the same files."""
    if variable.is_override:
        return VariableReport(variable, (TRUST_OVERRIDE.at(variable.where),))
    pools = [machine_pools_finding(variable.pools).at(variable.where)] if variable.pools else []
    report = _check_value(variable, secrets)
    return replace(report, findings=(*report.findings, *pools))


def _check_value(variable: VariableInFile, secrets: Iterable[ManifestSecret]) -> VariableReport:
    try:
        trust = variable.trust()
    except UserError as problem:
        refused = error("bad-variable", problem.what, problem.why, problem.next_step)
        return VariableReport(variable, (refused.at(variable.where),))
    secret = variable.find_secret(secrets, trust.secret_name)
    if secret is None:
        return VariableReport(variable, undecided=_absent(variable, trust, tuple(secrets)) if trust.names else "")
    findings = (finding.at(variable.where) for finding in _compare(trust, secret))
    return VariableReport(variable, tuple(findings), secret=None if trust.has_user_secret else secret)


def _compare(trust: TrustVariable, secret: ManifestSecret) -> list[Finding]:
    """Compare the names of a variable with the keys of its Secret."""
    required = {name if trust.has_user_secret else entry_key(name): name for name in trust.names}
    present = {value.key for value in secret.values}
    missing = [_missing(name, key_name, secret) for key_name, name in required.items() if key_name not in present]
    return missing + [_unlisted(key_name, secret) for key_name in sorted(present - required.keys())]


def _missing(name: str, key_name: str, secret: ManifestSecret) -> Finding:
    return error(
        "missing-key",
        f"Secret {object_name(secret.name)} has no key {printable_name(key_name)} for entry {printable_name(name)}",
        "Cluster API waits for the key and creates no new machine of the cluster",
        "Add the key to the Secret, or remove the entry from the variable",
    )


def _unlisted(key_name: str, secret: ManifestSecret) -> Finding:
    return warning(
        "unlisted-key",
        f"Secret {object_name(secret.name)} has key {printable_name(key_name)}, but the variable has no such entry",
        "Nodes do not receive it",
        "Add an entry with this name to the variable, or remove the key",
    )


def _absent(variable: VariableInFile, trust: TrustVariable, secrets: Iterable[ManifestSecret]) -> str:
    keys = set(trust.names) if trust.has_user_secret else {entry_key(name) for name in trust.names}
    return absent_secret(variable.where, trust.secret_name, variable.namespace, keys, secrets)


def absent_secret(
    where: str, secret_name: str, namespace: str, keys: AbstractSet[str], secrets: Iterable[ManifestSecret]
) -> str:
    """Return the message about a Secret that no file has, naming the Secret that the user probably meant."""
    option = f"-n {object_name(namespace)} " if namespace else ""
    name = object_name(secret_name)
    fetch = f"add it: kubectl get secret {option}{name} -o yaml | trustplane check FILE... -"
    for secret in secrets:
        if secret.name == secret_name:
            return (
                f"{where}: Secret {name} is in namespace {object_name(secret.namespace)}, but the Cluster is in "
                f"{object_name(namespace)}: create the Secret there, or {fetch}"
            )
        if keys & {value.key for value in secret.values}:
            return (
                f"{where}: Secret {name} is not in these files. Secret {object_name(secret.name)} has its keys: "
                f"if you mean that one, rename it to {name}; otherwise {fetch}"
            )
    return f"{where}: Secret {name} is not in these files; {fetch}"
