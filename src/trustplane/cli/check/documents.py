"""Input files of `trustplane check`: manifests, PEM, DER or base64, with the positions of their entries."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import yaml

from trustplane.api.annotations import REGISTRY_SCOPE
from trustplane.certificates.finding import Finding
from trustplane.cli import manifests
from trustplane.cli.check import bundles, clusters, reading
from trustplane.cli.check.certificate_files import read_certificates
from trustplane.cli.check.clusters import ManifestSecret, VariableInFile
from trustplane.cli.check.entries import ListedEntry, is_users_secret, read_entries
from trustplane.cli.check.misplaced import canonical_kind, judge_kind, misplaced_lists
from trustplane.cli.check.os_configuration import CAReference, OSConfiguration, read_os_configuration
from trustplane.cli.check.other_formats import explain_other_format
from trustplane.cli.manifests import child, items, line_number, object_label, scalar
from trustplane.trust import scope

_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)+")  # anchor and tag before a value (YAML 1.2.2, section 6.9)
_LISTS = {
    "TkgServiceConfiguration": ("spec", "trust", "additionalTrustedCAs"),
    "TanzuKubernetesCluster": ("spec", "settings", "network", "trust", "additionalTrustedCAs"),
}


@dataclass(frozen=True, kw_only=True)
class CheckedFile:
    """One input file."""

    name: str
    text: str = ""
    entries: tuple[ListedEntry, ...] = ()
    is_manifest: bool = False
    variables: tuple[VariableInFile, ...] = ()  # of Clusters
    references: tuple[CAReference, ...] = ()  # of variables osConfiguration
    secrets: tuple[ManifestSecret, ...] = ()  # and ConfigMaps
    findings: tuple[tuple[int, Finding], ...] = ()  # with line, besides those of entries
    undecided: tuple[str, ...] = ()  # what could not be checked, and why

    @property
    def has_content(self) -> bool:
        """Whether anything in the file is about CAs."""
        is_users = any(map(is_users_secret, self.secrets))
        return bool(self.entries or self.variables or self.references or self.findings or self.undecided or is_users)

    @property
    def fixed(self) -> str:
        """The text with corrected data and quoted names, otherwise unchanged."""
        text = self.text
        changes = {entry.span: entry.fixed for entry in self.entries if entry.span and entry.fixed is not None}
        changes |= {entry.name_span: f'"{entry.name}"' for entry in self.entries if entry.name_span}
        for (start, end), fixed in sorted(changes.items(), reverse=True):  # from the end, to keep positions valid
            properties = _PROPERTIES.match(text, start, end)
            line_end = "\n" if text[start:end].endswith("\n") else ""  # a block scalar includes its last line end
            text = text[: properties.end() if properties else start] + fixed + line_end + text[end:]
        return text


def read_file(name: str, content: bytes) -> CheckedFile:
    """Read a file's content.

    Raises:
        UserError: the content looks like a manifest, but is not readable as one.
    """
    if manifests.is_manifest(content) or manifests.is_manifest(reading.utf_16_text(content).encode()):
        return _manifest(name, content)
    other = explain_other_format(name, content)
    if other:
        return CheckedFile(name=name, undecided=(other,))
    return CheckedFile(name=name, entries=(read_certificates(name, content),))


def _manifest(name: str, content: bytes) -> CheckedFile:
    text, objects, findings = reading.parse_nodes(name, content)
    parts = [CheckedFile(name=name, findings=tuple(findings)), *map(_object, objects)]
    merged = CheckedFile(
        name=name,
        text=text,
        entries=tuple(entry for part in parts for entry in part.entries),
        is_manifest=True,
        variables=tuple(variable for part in parts for variable in part.variables),
        references=tuple(reference for part in parts for reference in part.references),
        secrets=tuple(secret for part in parts for secret in part.secrets),
        findings=tuple(finding for part in parts for finding in part.findings),
        undecided=tuple(message for part in parts for message in part.undecided),
    )
    if merged.has_content or any(map(bundles.has_bundle, merged.secrets)):
        return merged
    kinds = ", ".join(dict.fromkeys(map(manifests.object_kind, objects))) or "nothing"
    return replace(merged, undecided=(f"{name} has no CAs, only: {kinds}{_render_hint(objects)}",))


def _render_hint(objects: Sequence[yaml.Node]) -> str:
    if any(manifests.object_kind(node) == "Kustomization" for node in objects):
        return ". Render it first: kustomize build . | trustplane check -"
    if any(child(node, "type", "kind") is not None for node in objects):
        return ". Check the Cluster created by Tanzu Mission Control: kubectl get cluster -o yaml | trustplane check -"
    return ""


def _object(node: yaml.Node) -> CheckedFile:
    """Read one object of a manifest."""
    kind = canonical_kind(node)
    findings = tuple(judge_kind(node))
    if kind in {"Secret", "ConfigMap"}:
        return CheckedFile(name="", secrets=(ManifestSecret.read(node, kind),), findings=findings)
    if clusters.is_cluster(node):
        return _cluster(node)
    if kind not in _LISTS:
        return CheckedFile(name="", findings=findings)
    hosts, scope_findings = _scope(node, kind)
    if child(node, *_LISTS[kind]) is None:
        findings += tuple(misplaced_lists(node, *_LISTS[kind]))
    return CheckedFile(
        name="",
        entries=tuple(replace(entry, hosts=hosts.get(entry.name, ())) for entry in _entries(node, kind)),
        findings=(*findings, *scope_findings),
        undecided=tuple(_not_a_list(node, kind)),
    )


def _cluster(node: yaml.Node) -> CheckedFile:
    variables = tuple(clusters.trust_variables(node))
    os_configuration = read_os_configuration(node)
    inline = [entry for where, entries in clusters.inline_lists(node) for entry in read_entries(entries, where, where)]
    is_empty = not (variables or inline or os_configuration != OSConfiguration())
    place = "spec.topology.variables[].value.additionalTrustedCAs of variable trust"
    return CheckedFile(
        name="",
        entries=(*inline, *os_configuration.entries),
        variables=variables,
        references=os_configuration.references,
        findings=(*os_configuration.findings, *(misplaced_lists(node, place) if is_empty else ())),
    )


def _scope(node: yaml.Node, kind: str) -> tuple[Mapping[str, tuple[str, ...]], list[tuple[int, Finding]]]:
    """Return the scopes of a list's entries by name, and the findings about the annotation with their lines."""
    annotation = child(node, "metadata", "annotations", REGISTRY_SCOPE)
    if annotation is None:
        return {}, []
    names = {scalar(child(item, "name")) for item in items(child(node, *_LISTS[kind]))}
    hosts, findings = scope.parse_scopes(scalar(annotation), names)
    return hosts, [(line_number(annotation), finding) for finding in findings]


def _entries(node: yaml.Node, kind: str) -> Iterator[ListedEntry]:
    path = ".".join(_LISTS[kind])
    where = path if kind == "TkgServiceConfiguration" else f"{kind} {object_label(node)} {path}"
    yield from read_entries(child(node, *_LISTS[kind]), where, f"{where} in line {line_number(node)}")


def _not_a_list(node: yaml.Node, kind: str) -> Iterator[str]:
    """Yield a message if the field of the list has another type."""
    field = child(node, *_LISTS[kind])
    if field is not None and not isinstance(field, yaml.SequenceNode):
        yield f"{kind} {object_label(node)}: {'.'.join(_LISTS[kind])} in line {line_number(field)} is not a list"
