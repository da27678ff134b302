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


def judged(kind: str, after: Json, before: Json | None = None) -> list[Finding]:
    assert object_secrets(kind, after, before) == set()
    return object_findings(kind, after, before, {}, AT)


@pytest.mark.parametrize("kind", [CONFIGURATION_KIND, TKC])
def test_findings_say_where_in_the_object(kind: str) -> None:
    path = "spec.trust" if kind == CONFIGURATION_KIND else "spec.settings.network.trust"
    [finding] = judged(kind, holder(kind, BAD))
    assert (finding.code, finding.where) == ("not-base64", f"{path}.additionalTrustedCAs[0] (bad)")


@pytest.mark.parametrize("kind", [CONFIGURATION_KIND, TKC])
def test_a_list_that_stays_stops_no_other_change(kind: str) -> None:
    before = holder(kind, BAD)
    after = copy.deepcopy(before) | {"metadata": {"labels": {"a": "b"}}}
    assert judged(kind, after, before) == []


@pytest.mark.parametrize(
    "spec", [{}, {"settings": None}, {"settings": {"network": None}}, {"settings": {"network": {"trust": None}}}]
)
def test_an_object_without_a_list_is_fine(spec: Json) -> None:
    assert judged(TKC, {"kind": TKC, "metadata": {}, "spec": spec}) == []


@pytest.mark.parametrize("kind", [CONFIGURATION_KIND, TKC])
def test_the_scope_of_entries_is_judged_with_the_list(kind: str) -> None:
    before, name = holder(kind, GOOD), GOOD[0]["name"]
    scope = "trustplane.dev/registry-scope"
    assert judged(kind, holder(kind, GOOD, **{scope: f"{name}=apps.corp.test"}), before) == []
    for value, code in ((f"{name}=https://apps", "bad-scope-host"), ("nobody=apps.corp.test", "unknown-scope-entry")):
        assert [one.code for one in judged(kind, holder(kind, GOOD, **{scope: value}), before)] == [code]


def test_leaving_the_list_out_empties_it() -> None:
    before = holder(CONFIGURATION_KIND, GOOD)
    assert [one.code for one in judged(CONFIGURATION_KIND, holder(CONFIGURATION_KIND, None), before)] == [
        "removal-not-allowed"
    ]


@pytest.mark.parametrize(
    ("annotations", "codes"), [({}, ["empty-list"]), ({"trustplane.dev/trust-merge": "Append"}, [])]
)
def test_a_new_own_list_that_is_empty_is_odd(annotations: dict[str, str], codes: list[str]) -> None:
    after = holder(TKC, [], **annotations)
    assert [one.code for one in judged(TKC, after)] == codes
    assert [one.code for one in judged(TKC, after, holder(TKC, None))] == codes
    assert judged(CONFIGURATION_KIND, holder(CONFIGURATION_KIND, [])) == []


@pytest.mark.parametrize("kind", ["", "Secret", "TanzuKubernetesRelease"])
def test_other_kinds_hold_no_list(kind: str) -> None:
    assert judged(kind, holder(CONFIGURATION_KIND, BAD)) == []
