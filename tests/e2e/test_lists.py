"""Every unusual list of the catalogue, in kubectl and on nodes: broken ones change nothing, messy ones work."""

import json
from collections.abc import Iterator

import pytest
import yaml

from assets.catalogue import CATALOGUE
from e2e.clusters import Json, authorities, configure, encoded, update
from trustplane.errors import TransientError
from trustplane_local.demo import manifests
from trustplane_local.demo.fleet import DemoClusters
from trustplane_local.stack import Stack

KIND = "TkgServiceConfiguration"
APPLY = ("apply", "--server-side", "--force-conflicts", "--filename=-")
# In a list these are errors, as der.yaml and pkcs7.yaml; JSON has no second field of the same name.
ELSEWHERE = {"der.crt", "ca.p7b", "duplicate-key.yaml"}
# Of kinds' rules, and of types: a number for a name, a field that no kind has.
REFUSALS = ("invalid", "failed to create typed patch object")
# The API server's own rules have other messages; these are the extension's.
OURS = {"no-certificate", "unparsable-certificate", "utf-16", "unreadable-on-nodes"}
# The findings of these depend on the date.
TIMELY = {"expires-soon", "not-yet-valid"}


def lists() -> Iterator[tuple[str, Json, list[str]]]:
    """Yield each file of the catalogue that is a list or an entry of one: name, configuration, codes."""
    for name, (content, expected) in CATALOGUE.items():
        stem, _, suffix = name.rpartition(".")
        if name in ELSEWHERE:
            continue
        if suffix == "yaml":
            objects = [item for item in yaml.safe_load_all(content) if item["kind"] == KIND]
            if not objects:
                continue
            (body,) = objects
        else:
            body = manifests.configuration_manifest({})
            body["spec"]["trust"]["additionalTrustedCAs"] = [{"name": stem, "data": encoded(content)}]
        body["metadata"]["annotations"] = {"trustplane.dev/allow-removal": "true"}
        yield name, body, expected


LISTS = {name: (body, expected) for name, body, expected in lists()}
BROKEN = [name for name, (_, expected) in LISTS.items() if any(one.startswith("error") for one in expected)]
MESSY = [name for name in LISTS if name not in BROKEN]


@pytest.fixture(scope="module")
def configured(stack: Stack, fleet: DemoClusters, deep: str) -> str:
    configure(fleet, authorities(stack), **{"trustplane.dev/allow-removal": "true"})
    return deep


def asked(fleet: DemoClusters) -> tuple[str, int, Json, Json]:
    """Return the part set by users; the manager may still update the status."""
    found = fleet.supervisor.get("tkgserviceconfiguration", "tkg-service-configuration")
    metadata = found["metadata"]
    return metadata["uid"], metadata["generation"], metadata.get("annotations", {}), found["spec"]


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_list_is_refused_and_changes_nothing(fleet: DemoClusters, name: str) -> None:
    body, expected = LISTS[name]
    before = asked(fleet)
    with pytest.raises(TransientError) as refused:
        fleet.supervisor.run(*APPLY, stdin=json.dumps(body))
    assert asked(fleet) == before
    codes = {one.partition(" ")[2] for one in expected if one.startswith("error")}
    assert any(text in str(refused.value).lower() for text in REFUSALS)
    assert all(code in str(refused.value) for code in codes & OURS), refused.value


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("name", MESSY)
def test_a_messy_list_causes_warnings(fleet: DemoClusters, name: str) -> None:
    body, expected = LISTS[name]
    said = fleet.supervisor.run(*APPLY, "--dry-run=server", stdin=json.dumps(body))
    codes = {one.partition(" ")[2] for one in expected} - TIMELY
    assert all(code in said for code in codes), said
    assert not codes or "Warning:" in said


@pytest.mark.timeout(600)
def test_all_messy_lists_together_work_on_nodes(stack: Stack, fleet: DemoClusters, configured: str) -> None:
    wanted = authorities(stack)
    body = manifests.configuration_manifest(wanted)
    entries = [one for name in MESSY for one in LISTS[name][0]["spec"]["trust"]["additionalTrustedCAs"]]
    named = {entry["name"]: entry for entry in entries if entry["name"] not in wanted}
    body["spec"]["trust"]["additionalTrustedCAs"] += named.values()
    assert "Warning:" in fleet.supervisor.run(*APPLY, stdin=json.dumps(body))
    assert "Proven" in update(stack, configured)
