"""Variable `trust` of Clusters, and whether the Secret that it speaks of has what nodes need."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import yaml

from trustplane.api.meta import Json
from trustplane.certificates.finding import Finding, error, warning
from trustplane.cli.manifests import child, items, label, line, object_name, pairs, scalar, span, string
from trustplane.clusterapi.left_out import DEPLOYMENTS, OVERRIDE, POOLS, TOPOLOGY, VARIABLE, machine_pools
from trustplane.clusterapi.secret import key
from trustplane.clusterapi.variable import SCHEMA, Trust, read
from trustplane.errors import UserError
from trustplane.trust.entries import shown

_GROUP = "cluster.x-k8s.io/"
_ENTRIES = "additionalTrustedCAs"
_ENTRY_SCHEMA: Json = SCHEMA["properties"][_ENTRIES]["items"]


@dataclass(frozen=True)
class Value:
    """One key of a Secret."""

    field: str  # data or stringData
    key: str
    text: str
    line: int
    span: tuple[int, int] | None


@dataclass(frozen=True)
class Secret:
    """A Secret of a manifest."""

    name: str
    namespace: str  # empty: left to kubectl
    values: tuple[Value, ...]

    @classmethod
    def read(cls, node: yaml.Node) -> "Secret":
        """Read an object of kind Secret; as in the API server, `stringData` wins over `data`."""
        found = {
            scalar(name): Value(field, scalar(name), scalar(value), line(name), span(value))
            for field in ("data", "stringData")
            for name, value in pairs(child(node, field))
        }
        name, namespace = (scalar(child(node, "metadata", part)) for part in ("name", "namespace"))
        return cls(name, namespace, tuple(found.values()))


@dataclass(frozen=True)
class Variable:
    """A value of variable `trust`, of a Cluster or of one group of its machines."""

    cluster: str
    namespace: str
    where: str
    line: int
    value: Any
    unknown: tuple[str, ...] = ()  # fields that the schema does not have
    is_override: bool = False
    pools: tuple[str, ...] = ()  # MachinePools of a Cluster that takes trust by it

    def trust(self) -> Trust:
        """Return what it means. Raises UserError where Cluster API or Trustplane would refuse it."""
        if self.unknown:
            raise UserError(
                f"Variable trust has a field that its schema does not have: {', '.join(self.unknown)}",
                why="Cluster API refuses the Cluster. Certificates are not in the variable but in a Secret",
                next_step="Leave the field out; see `Cluster` in docs/reference/api.md",
            )
        return read(self.value, self.cluster)

    def among(self, secrets: Iterable[Secret], name: str) -> Secret | None:
        """Return the Secret of that name in the Cluster's namespace."""
        return next((one for one in secrets if one.name == name and self._shares_namespace(one)), None)

    def _shares_namespace(self, secret: Secret) -> bool:
        return secret.namespace == self.namespace or "" in (secret.namespace, self.namespace)


def is_cluster(node: yaml.Node) -> bool:
    """Tell whether an object is Cluster API's Cluster, of any version."""
    return scalar(child(node, "kind")) == "Cluster" and scalar(child(node, "apiVersion")).startswith(_GROUP)


def variables(node: yaml.Node) -> Iterator[Variable]:
    """Yield the values of variable `trust` in a Cluster: its own, and those by which groups of machines override it."""
    topology = child(node, "spec", "topology")
    pools = tuple(shown(scalar(child(one, "name"))) for one in items(child(topology, "workers", POOLS)))
    yield from _of_list(node, "variables", child(topology, "variables"), pools=pools)
    places = [("controlPlane", child(topology, "controlPlane"))]
    for kind in (DEPLOYMENTS, POOLS):
        places += [
            (f"workers.{kind}[{index}]", one) for index, one in enumerate(items(child(topology, "workers", kind)))
        ]
    for path, group in places:
        overrides = child(group, "variables", "overrides")
        yield from _of_list(node, f"{path}.variables.overrides", overrides, is_override=True)


def _of_list(node: yaml.Node, path: str, found: yaml.Node | None, **facts: Any) -> Iterator[Variable]:
    name, namespace = (scalar(child(node, "metadata", part)) for part in ("name", "namespace"))
    for one in items(found):
        if scalar(child(one, "name")) == VARIABLE:
            where = f"Cluster {label(node)} {TOPOLOGY}.{path} ({VARIABLE})"
            value = child(one, "value")
            yield Variable(name, namespace, where, line(one), _plain(value), tuple(_unknown(value)), **facts)


def _plain(value: yaml.Node | None) -> Json:
    """Return the fields that the schema has."""
    entries = child(value, _ENTRIES)
    listed = [{"name": string(child(one, "name"))} if isinstance(one, yaml.MappingNode) else None
              for one in items(entries)]  # fmt: skip
    plain: Json = {_ENTRIES: listed if isinstance(entries, yaml.SequenceNode) else None}
    named = child(value, "secretName")
    return plain if named is None else plain | {"secretName": string(named)}


def _unknown(value: yaml.Node | None) -> Iterator[str]:
    for holder, schema in ((value, SCHEMA), *((one, _ENTRY_SCHEMA) for one in items(child(value, _ENTRIES)))):
        for name, _ in pairs(holder):
            if scalar(name) not in schema["properties"]:
                yield shown(scalar(name))


@dataclass(frozen=True)
class Judgement:
    """What is known of a variable without a cluster."""

    variable: Variable
    findings: tuple[Finding, ...] = ()
    undecided: str = ""
    holder: Secret | None = None  # of PEM under `<name>.pem`


def judge(variable: Variable, secrets: Iterable[Secret]) -> Judgement:
    """Say what Cluster API and Trustplane will make of a variable, given the Secrets of the same files."""
    if variable.is_override:
        return Judgement(variable, (OVERRIDE.at(variable.where),))
    pools = [machine_pools(variable.pools).at(variable.where)] if variable.pools else []
    found = _judged(variable, secrets)
    return replace(found, findings=(*found.findings, *pools))


def _judged(variable: Variable, secrets: Iterable[Secret]) -> Judgement:
    try:
        trust = variable.trust()
    except UserError as problem:
        refused = error("bad-variable", problem.what, problem.why, problem.next_step)
        return Judgement(variable, (refused.at(variable.where),))
    secret = variable.among(secrets, trust.secret_name)
    if secret is None:
        return Judgement(variable, undecided=_absent(variable, trust) if trust.names else "")
    findings = (one.at(variable.where) for one in _compare(trust, secret))
    return Judgement(variable, tuple(findings), holder=None if trust.is_users else secret)


def _compare(trust: Trust, secret: Secret) -> list[Finding]:
    """Compare the names of a variable with the keys of its Secret."""
    wanted = {name if trust.is_users else key(name): name for name in trust.names}
    present = {one.key for one in secret.values}
    missing = [_missing(name, one, secret) for one, name in wanted.items() if one not in present]
    return missing + [_unlisted(one, secret) for one in sorted(present - wanted.keys())]


def _missing(name: str, key_name: str, secret: Secret) -> Finding:
    return error(
        "missing-key",
        f"Secret {object_name(secret.name)} has no key {shown(key_name)} for entry {shown(name)}",
        "Cluster API waits for it: no new machine of the cluster comes up",
        "Add the key to the Secret, or take the entry out of the variable",
    )


def _unlisted(key_name: str, secret: Secret) -> Finding:
    return warning(
        "unlisted-key",
        f"Secret {object_name(secret.name)} has key {shown(key_name)}, which the variable does not name",
        "Nodes do not get it",
        "Add an entry of that name to the variable, or remove the key",
    )


def _absent(variable: Variable, trust: Trust) -> str:
    option = f"-n {object_name(variable.namespace)} " if variable.namespace else ""
    name = object_name(trust.secret_name)
    return (
        f"{variable.where}: Secret {name} is not in these files; "
        f"give it too: kubectl get secret {option}{name} -o yaml | trustplane check FILE... -"
    )
