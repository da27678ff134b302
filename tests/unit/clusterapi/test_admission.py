import copy
import datetime as dt
from pathlib import Path

import pytest
import yaml

from trustplane.api.meta import Json
from trustplane.certificates.finding import Finding
from trustplane.clusterapi.admission import CONFIGURATION_KIND, object_findings, object_secrets

AT = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
TKC = "TanzuKubernetesCluster"
BAD = [{"name": "bad", "data": "!"}]
EXAMPLE = Path(__file__).parents[3] / "examples" / "tkgserviceconfiguration.yaml"
GOOD = yaml.safe_load(EXAMPLE.read_text())["spec"]["trust"]["additionalTrustedCAs"]


def holder(kind: str, entries: list[Json] | None, **annotations: str) -> Json:
    trust = {} if entries is None else {"trust": {"additionalTrustedCAs": entries}}
    spec = trust if kind == CONFIGURATION_KIND else {"settings": {"network": trust}}
    return {"kind": kind, "metadata": {"annotations": annotations} if annotations else {}, "spec": spec}


def findings_about(kind: str, after: Json, before: Json | None = None) -> list[Finding]:
    assert object_secrets(kind, after, before) == set()
    return object_findings(kind, after, before, {}, AT)


@pytest.mark.parametrize("kind", [CONFIGURATION_KIND, TKC])
def test_a_finding_has_a_path_in_the_object(kind: str) -> None:
    path = "spec.trust" if kind == CONFIGURATION_KIND else "spec.settings.network.trust"
    [finding] = findings_about(kind, holder(kind, BAD))
    assert (finding.code, finding.where) == ("not-base64", f"{path}.additionalTrustedCAs[0] (bad)")


@pytest.mark.parametrize("kind", [CONFIGURATION_KIND, TKC])
def test_an_unchanged_list_blocks_no_other_change(kind: str) -> None:
    before = holder(kind, BAD)
    after = copy.deepcopy(before) | {"metadata": {"labels": {"a": "b"}}}
    assert findings_about(kind, after, before) == []


@pytest.mark.parametrize(
    "spec", [{}, {"settings": None}, {"settings": {"network": None}}, {"settings": {"network": {"trust": None}}}]
)
def test_an_object_without_a_list_is_fine(spec: Json) -> None:
    assert findings_about(TKC, {"kind": TKC, "metadata": {}, "spec": spec}) == []


@pytest.mark.parametrize("kind", [CONFIGURATION_KIND, TKC])
def test_a_changed_scope_is_checked_with_the_list(kind: str) -> None:
    before, name = holder(kind, GOOD), GOOD[0]["name"]
    scope = "trustplane.dev/registry-scope"
    assert findings_about(kind, holder(kind, GOOD, **{scope: f"{name}=apps.corp.test"}), before) == []
    for value, code in ((f"{name}=https://apps", "bad-scope-host"), ("nobody=apps.corp.test", "unknown-scope-entry")):
        assert [finding.code for finding in findings_about(kind, holder(kind, GOOD, **{scope: value}), before)] == [
            code
        ]


def test_an_omitted_list_removes_all_entries() -> None:
    before = holder(CONFIGURATION_KIND, GOOD)
    assert [
        finding.code for finding in findings_about(CONFIGURATION_KIND, holder(CONFIGURATION_KIND, None), before)
    ] == ["removal-not-allowed"]


@pytest.mark.parametrize(
    ("annotations", "codes"), [({}, ["empty-list"]), ({"trustplane.dev/trust-merge": "Append"}, [])]
)
def test_a_new_empty_list_of_a_cluster_is_a_finding(annotations: dict[str, str], codes: list[str]) -> None:
    after = holder(TKC, [], **annotations)
    assert [finding.code for finding in findings_about(TKC, after)] == codes
    assert [finding.code for finding in findings_about(TKC, after, holder(TKC, None))] == codes
    assert findings_about(CONFIGURATION_KIND, holder(CONFIGURATION_KIND, [])) == []


@pytest.mark.parametrize("kind", ["", "Secret", "TanzuKubernetesRelease"])
def test_other_kinds_have_no_list(kind: str) -> None:
    assert findings_about(kind, holder(CONFIGURATION_KIND, BAD)) == []
