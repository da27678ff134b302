import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.configuration import TrustedCA
from trustplane.trust.entries import EMPTY_SET, TrustSet, compare_sets, is_entry_name, parse_list


def entries(data: dict[str, str], **names: str) -> list[TrustedCA]:
    """Return a list: `corp="a"` is entry corp with CA a, `corp="ab"` has both CAs."""
    return [TrustedCA(name=name, data=joined(data, cas)) for name, cas in names.items()]


def joined(data: dict[str, str], cas: str) -> str:
    return base64.b64encode(b"".join(base64.b64decode(data[ca]) for ca in cas)).decode()


def trust(data: dict[str, str], **names: str) -> TrustSet:
    reading = parse_list(entries(data, **names))
    assert reading.is_valid
    return reading.trust


def test_a_set_is_equal_by_names_and_certificates(data: dict[str, str]) -> None:
    subject = trust(data, corp="ab", other="c")
    assert subject == trust(data, other="c", corp="ba")
    assert hash(subject) == hash(trust(data, other="c", corp="ba"))
    assert subject != trust(data, corp="ab", another="c")
    assert subject != trust(data, corp="a", other="c")
    assert subject != trust(data, corp="abc")
    assert subject != EMPTY_SET


def test_a_set_provides_the_content_of_files(data: dict[str, str]) -> None:
    subject = trust(data, zulu="c", corp="ba")
    assert subject.names == ["corp", "zulu"]
    assert list(subject.pem_by_name()) == ["corp", "zulu"]
    assert subject.pem_by_name()["corp"].encode() == base64.b64decode(data["b"]) + base64.b64decode(data["a"])
    assert subject.digest.startswith(subject.short)
    assert len(subject.short) == 10


@pytest.mark.parametrize("names", [{}, {"corp": "a"}, {"zulu": "c", "corp": "ba"}])
def test_a_set_is_read_from_the_pem_of_its_entries(data: dict[str, str], names: dict[str, str]) -> None:
    subject = trust(data, **names)
    assert TrustSet.from_pem(subject.pem_by_name()) == subject


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("..", ""),
        ("a/b", ""),
        ("corp", "text"),
        ("corp", "-----BEGIN CERTIFICATE-----\n"),
        ("corp", "-----BEGIN PRIVATE KEY-----"),
    ],
)
def test_an_invalid_entry_makes_no_set(data: dict[str, str], name: str, edit: str) -> None:
    pem = base64.b64decode(data["a"]).decode()
    assert TrustSet.from_pem({"good": pem, name: edit or pem}) is None
    assert TrustSet.from_pem({"good": pem, "empty": ""}) is None


def test_a_set_without_scopes_has_the_digest_of_earlier_releases(data: dict[str, str]) -> None:
    """Otherwise a new release of Trustplane would update every cluster."""
    subject = trust(data, corp="ab", other="c")
    lines = [f"{entry.name} {' '.join(entry.fingerprints)}\n" for entry in subject.entries]
    assert subject.digest == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert EMPTY_SET.digest == hashlib.sha256(b"").hexdigest()
    assert subject.with_scopes({}) == subject


NAMES = ["corp", "other"]
SCOPES = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(["r.test", "s.test:5000"]), min_size=1))


@given(first_scopes=SCOPES, second_scopes=SCOPES)
def test_equal_sets_have_equal_scopes(
    data: dict[str, str], first_scopes: dict[str, list[str]], second_scopes: dict[str, list[str]]
) -> None:
    some = trust(data, corp="a", other="b")
    first, second = some.with_scopes(first_scopes), some.with_scopes(second_scopes)
    are_same = {name: set(hosts) for name, hosts in first_scopes.items()} == {
        name: set(hosts) for name, hosts in second_scopes.items()
    }
    assert (first == second) == are_same
    assert bool(compare_sets(first, second)) == (not are_same)
    assert first.with_scopes({}) == some
    assert {entry.name for entry in first.for_host("r.test").entries} == {
        name for name in NAMES if not first_scopes.get(name) or "r.test" in first_scopes[name]
    }


def test_the_difference_of_scopes_is_described(data: dict[str, str]) -> None:
    whole = trust(data, corp="a")
    scoped = whole.with_scopes({"corp": ["s.test", "r.test"]})
    [entry] = whole.entries
    short = entry.fingerprints[0][:10]
    assert compare_sets(EMPTY_SET, scoped).text == f"add corp ({short} for r.test s.test)"
    assert compare_sets(whole, scoped).changed == ("corp",)
    assert compare_sets(whole, scoped).text == f"change corp ({short}) to {short} for r.test s.test"
    assert compare_sets(scoped, whole).text == f"change corp ({short} for r.test s.test) to {short} node-wide"


def test_the_empty_set_is_a_set(data: dict[str, str]) -> None:
    assert parse_list([]).trust == EMPTY_SET
    assert not EMPTY_SET
    assert trust(data, corp="a")


BAD_NAMES = ["", ".", "..", "..x", "../x", "a/b", "a b", "a\n", "ü", "a" * 244, "a\0", "-\u200f"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_an_invalid_name_is_rejected(data: dict[str, str], name: str) -> None:
    assert not is_entry_name(name)
    reading = parse_list([TrustedCA(name=name, data=data["a"])])
    assert [finding.code for finding in reading.findings] == ["bad-name"]
    assert not reading.is_valid
    assert reading.trust == EMPTY_SET


@pytest.mark.parametrize("name", ["CompanyInternalCA-1", "registry.corp.test", "a", "all_ca.crt", ".hidden", "a" * 243])
def test_common_names_are_valid(name: str) -> None:
    assert is_entry_name(name)


@given(st.text(max_size=300))
def test_a_valid_name_stays_in_its_directory(name: str) -> None:
    if is_entry_name(name):
        assert "/" not in name
        assert "\0" not in name
        assert len(f"tkg-{name}.pem".encode()) <= 255
        assert not f"{name}.pem".startswith("..")


def test_a_duplicate_name_is_rejected(data: dict[str, str]) -> None:
    twice = [*entries(data, corp="a"), *entries(data, corp="b")]
    [finding] = parse_list(twice).findings
    assert finding.code == "duplicate-name"
    assert "[1] (corp)" in finding.where


def test_findings_quote_the_name_but_not_the_data(data: dict[str, str]) -> None:
    broken = [TrustedCA(name="good", data=data["a"]), TrustedCA(name="bad", data="bm90aGluZw==")]
    reading = parse_list(broken, where="spec.trust.additionalTrustedCAs")
    assert reading.trust.names == ["good"]
    assert str(reading.findings[0]).startswith("spec.trust.additionalTrustedCAs[1] (bad): data holds no certificate")
    assert "bm90" not in str(reading.findings[0])


@given(st.lists(st.builds(TrustedCA, name=st.text(), data=st.text())))
def test_any_list_can_be_parsed(some: list[TrustedCA]) -> None:
    reading = parse_list(some)
    assert len(reading.trust) <= len(some)
    assert reading.is_valid or len(reading.trust) < len(some)


def test_the_difference_names_entries(data: dict[str, str]) -> None:
    change = compare_sets(trust(data, same="a", gone="b", other="c"), trust(data, same="a", new="b", other="ac"))
    assert (change.added, change.removed, change.changed) == (("new",), ("gone",), ("other",))
    short = {ca: trust(data, x=ca).entries[0].fingerprints[0][:10] for ca in "abc"}
    both = " ".join(sorted([short["a"], short["c"]]))
    assert change.text == f"add new ({short['b']}); remove gone ({short['b']}); change other ({short['c']}) to {both}"


def test_equal_sets_do_not_differ(data: dict[str, str]) -> None:
    assert not compare_sets(trust(data, one="ab"), trust(data, one="ba"))
    assert not compare_sets(EMPTY_SET, EMPTY_SET)
