import base64
import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.annotations import ALLOW_REMOVAL
from trustplane.api.configuration import TrustedCA
from trustplane.api.limits import MAX_ENTRIES
from trustplane.certificates.finding import Finding
from trustplane.trust.admission import review_list

AT = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
WHERE = "spec.trust.additionalTrustedCAs"


def entries(data: dict[str, str], **names: str) -> list[TrustedCA]:
    return [TrustedCA(name=name, data=data[ca]) for name, ca in names.items()]


def judged(after: list[TrustedCA], before: list[TrustedCA], **annotations: str) -> list[Finding]:
    return review_list(after, before, annotations, where=WHERE, at=AT)


def codes(findings: list[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def test_a_good_list_has_no_findings(data: dict[str, str]) -> None:
    assert judged(entries(data, a="a", b="b"), []) == []


def test_errors_and_oddities_are_both_reported(data: dict[str, str]) -> None:
    after = [
        TrustedCA(name="bad", data="!"),
        TrustedCA(name="odd", data=base64.encodebytes(base64.b64decode(data["a"])).decode()),
    ]
    findings = judged(after, [])
    assert [(finding.code, finding.where) for finding in findings] == [
        ("not-base64", f"{WHERE}[0] (bad)"),
        ("wrapped-base64", f"{WHERE}[1] (odd)"),
    ]


def test_a_broken_list_is_not_checked_for_removals(data: dict[str, str]) -> None:
    after = [TrustedCA(name="a", data="!")]
    assert codes(judged(after, entries(data, a="a", b="b", c="c"))) == ["not-base64"]


def test_emptying_a_list_is_rejected_with_its_path(data: dict[str, str]) -> None:
    [finding] = judged([], entries(data, a="a"))
    assert (finding.code, finding.where) == ("removal-not-allowed", WHERE)
    assert codes(judged([], entries(data, a="a"), **{ALLOW_REMOVAL: "true"})) == ["removal-allowed"]


def test_unreadable_entries_may_be_removed(data: dict[str, str]) -> None:
    bad = [TrustedCA(name=f"bad-{number}", data="!") for number in range(3)]
    assert judged(entries(data, a="a"), [*bad, *entries(data, a="a")]) == []
    assert judged(entries(data, a="a"), bad) == []


def test_emptying_an_unreadable_list_needs_permission(data: dict[str, str]) -> None:
    [finding] = judged([], [TrustedCA(name="bad", data="!"), *entries(data, a="a")])
    assert finding.code == "removal-not-allowed"
    assert "2 of 2 certificates: a (" in finding.what
    assert finding.what.endswith("), bad")


def test_a_list_too_large_for_a_node_is_rejected(data: dict[str, str]) -> None:
    many = [TrustedCA(name=f"ca-{number}", data=data["a"]) for number in range(MAX_ENTRIES + 1)]
    assert "too-many" in codes(judged(many, []))


@given(
    st.lists(st.builds(TrustedCA, name=st.text(), data=st.text())),
    st.lists(st.builds(TrustedCA, name=st.text(), data=st.text())),
)
def test_any_lists_can_be_checked(after: list[TrustedCA], before: list[TrustedCA]) -> None:
    for finding in judged(after, before):
        assert finding.code
        assert finding.where.startswith(WHERE) or finding.code == "too-many"
