"""Variable `osConfiguration` of vSphere Kubernetes Service: CAs in the variable, or in Secrets that it names."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import yaml

from trustplane.certificates import defects
from trustplane.certificates.finding import Finding, error
from trustplane.cli.check.clusters import ManifestSecret, absent_secret, find_secret
from trustplane.cli.check.entries import ListedEntry, read_entry, user_value
from trustplane.cli.manifests import child, items, line_number, object_label, object_name, pairs, scalar
from trustplane.clusterapi.exclusions import MACHINE_DEPLOYMENTS_FIELD, MACHINE_POOLS_FIELD, TOPOLOGY_PATH
from trustplane.trust.entries import printable_name

VARIABLE = "osConfiguration"
_PATH = ("trust", "additionalTrustedCAs")


@dataclass(frozen=True)
class CAReference:
    """An entry `caCert` that names a key of a Secret."""

    where: str
    line: int
    namespace: str  # of the Cluster
    secret: str
    key: str


@dataclass(frozen=True)
class OSConfiguration:
    """The trust of all variables `osConfiguration` of a Cluster."""

    entries: tuple[ListedEntry, ...] = ()
    references: tuple[CAReference, ...] = ()
    findings: tuple[tuple[int, Finding], ...] = ()


def read_os_configuration(node: yaml.Node) -> OSConfiguration:
    """Read the variable of a Cluster, including overrides for groups of machines."""
    entries: list[ListedEntry] = []
    references: list[CAReference] = []
    findings: list[tuple[int, Finding]] = []
    namespace = scalar(child(node, "metadata", "namespace"))
    for path, item in _items(node):
        content, secret = child(item, "caCert", "content"), child(item, "caCert", "secretRef")
        name, key = scalar(child(secret, "name")), scalar(child(secret, "key"))
        line = line_number(item)
        if content is not None:
            entries.append(_inline(path, scalar(content), line_number(content)))
        elif name and key:
            references.append(CAReference(path, line, namespace, name, key))
        else:
            findings.append((line, _incomplete(item).at(path)))
    return OSConfiguration(tuple(entries), tuple(references), tuple(findings))


def _items(node: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    topology = child(node, "spec", "topology")
    lists = [("variables", child(topology, "variables"))]
    groups = [("controlPlane", child(topology, "controlPlane"))]
    for kind in (MACHINE_DEPLOYMENTS_FIELD, MACHINE_POOLS_FIELD):
        groups += [(f"workers.{kind}[{n}]", group) for n, group in enumerate(items(child(topology, "workers", kind)))]
    lists += [(f"{path}.variables.overrides", child(group, "variables", "overrides")) for path, group in groups]
    for path, variables in lists:
        for variable in items(variables):
            if scalar(child(variable, "name")) == VARIABLE:
                owner = f"Cluster {object_label(node)} {TOPOLOGY_PATH}.{path} ({VARIABLE}) {'.'.join(_PATH)}"
                for index, item in enumerate(items(child(variable, "value", *_PATH))):
                    yield f"{owner}[{index}]", item


def _inline(path: str, text: str, line: int) -> ListedEntry:
    """Read `caCert.content`, which takes PEM."""
    where = f"{path}.caCert.content"
    entry = read_entry(where, "content", b64encode(text.encode(errors="replace")).decode(), line, None)
    if defects.DOUBLE_BASE64 in entry.findings:
        entry = replace(entry, findings=(_ENCODED_CONTENT,))
    return replace(entry, owner=where, fixed=None)


_ENCODED_CONTENT = error(
    "double-base64",
    "caCert.content is base64",
    "The field takes plain PEM; only Secrets contain it in base64",
    "Write the output of `cat ca.pem` as a block: content: |",
)


def _incomplete(item: yaml.Node) -> Finding:
    names = ", ".join(printable_name(scalar(key)) for key, _ in pairs(item)) or "none"
    return error(
        "bad-variable",
        f"The entry has no caCert.content, and no caCert.secretRef with name and key; its fields: {names}",
        "Nodes would not get the CA",
        "Write caCert.secretRef.name and caCert.secretRef.key, or PEM into caCert.content",
    )


@dataclass(frozen=True)
class Resolved:
    """What the references of a file lead to."""

    entries: tuple[ListedEntry, ...] = ()
    findings: tuple[tuple[int, Finding], ...] = ()
    undecided: tuple[str, ...] = ()


def resolve(references: Sequence[CAReference], secrets: Sequence[ManifestSecret]) -> Resolved:
    """Find the Secrets of the references among those of all files. Their values are PEM in base64, encoded twice."""
    entries: dict[str, ListedEntry] = {}
    findings: list[tuple[int, Finding]] = []
    undecided: list[str] = []
    for reference in references:
        secret = find_secret(secrets, reference.secret, reference.namespace)
        if secret is None:
            names = reference.where, reference.secret, reference.namespace
            undecided.append(absent_secret(*names, {reference.key}, secrets))
            continue
        value = next((value for value in secret.values if value.key == reference.key), None)
        if value is None:
            findings.append((reference.line, _missing(reference, secret).at(reference.where)))
        else:
            entry = user_value(secret, value, value.key)
            entries[entry.where] = entry
    return Resolved(tuple(entries.values()), tuple(findings), tuple(undecided))


def _missing(reference: CAReference, secret: ManifestSecret) -> Finding:
    keys = ", ".join(printable_name(value.key) for value in secret.values) or "none"
    return error(
        "missing-key",
        f"Secret {object_name(secret.name)} has no key {printable_name(reference.key)}; its keys: {keys}",
        "Nodes would not get the CA",
        "Add the key to the Secret, or correct caCert.secretRef.key",
    )
