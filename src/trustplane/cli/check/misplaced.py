"""Objects that are almost trust lists: the kind in the wrong case, the list in the wrong place or misspelt."""

import difflib
from collections.abc import Iterator

import yaml

from trustplane.certificates.finding import Finding, error
from trustplane.cli.manifests import child, line_number, pairs, scalar
from trustplane.trust.entries import printable_name

_LIST = "additionalTrustedCAs"
_SIMILAR = 0.75
_MAX_DEPTH = 8
_KINDS = {
    kind.lower(): kind
    for kind in ("TkgServiceConfiguration", "TanzuKubernetesCluster", "Cluster", "Secret", "ConfigMap", "List")
}


def canonical_kind(node: yaml.Node) -> str:
    """Return the kind that the author meant; "" if it is none that can hold CAs."""
    return _KINDS.get(scalar(child(node, "kind")).lower(), "")


def judge_kind(node: yaml.Node) -> Iterator[tuple[int, Finding]]:
    """Yield the finding about a kind in the wrong case, with its line."""
    kind, meant = child(node, "kind"), canonical_kind(node)
    if kind is not None and meant and scalar(kind) != meant:
        finding = error(
            "wrong-kind",
            f"kind must be {meant}",
            f"Kinds are case-sensitive: the API server does not know {scalar(kind)}",
            f"Write kind: {meant}",
        )
        yield line_number(kind), finding.at("kind")


def misplaced_lists(node: yaml.Node, *right: str) -> Iterator[tuple[int, Finding]]:
    """Yield the finding about a list outside its place `right`, a path or a description, with its line."""
    for path, key in _similar(node, ()):
        finding = error(
            "misplaced-field",
            f"{'.'.join(map(printable_name, path))} is not a field of {canonical_kind(node)}",
            "The API server refuses or drops the field, and nodes would not get the CAs",
            f"Write the list as {'.'.join(right)}",
        )
        yield line_number(key), finding.at(".".join(map(printable_name, path)))


def _similar(node: yaml.Node | None, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], yaml.Node]]:
    if len(path) >= _MAX_DEPTH:
        return
    for key, value in pairs(node):
        name = scalar(key)
        if len(name) <= 2 * len(_LIST) and _is_similar(name):
            yield (*path, name), key
        else:
            yield from _similar(value, (*path, name))


def _is_similar(name: str) -> bool:
    return difflib.SequenceMatcher(None, name.lower(), _LIST.lower()).ratio() > _SIMILAR
