import dataclasses

from trustplane.api.configuration import TrustedCA
from trustplane.api.limits import MAX_ENTRIES, MAX_PEM_BYTES
from trustplane.trust.entries import EMPTY_SET, ParsedList, TrustListEntry, TrustSet, parse_list
from trustplane.trust.merge import merge_lists


def reading(data: dict[str, str], **names: str) -> ParsedList:
    return parse_list([TrustedCA(name=name, data=data[ca]) for name, ca in names.items()])


BROKEN = parse_list([TrustedCA(name="broken", data="!")])


def test_without_an_own_list_the_service_list_applies(data: dict[str, str]) -> None:
    assert merge_lists(reading(data, x="a"), None, "Override").trust == reading(data, x="a").trust
    assert merge_lists(reading(data, x="a"), None, "Append").trust == reading(data, x="a").trust


def test_an_own_list_replaces_the_service_list(data: dict[str, str]) -> None:
    assert merge_lists(reading(data, x="a"), reading(data, y="b"), "Override").trust.names == ["y"]


def test_an_empty_own_list_trusts_no_ca(data: dict[str, str]) -> None:
    assert merge_lists(reading(data, x="a"), ParsedList(), "Override").trust == EMPTY_SET


def test_an_own_list_can_be_appended(data: dict[str, str]) -> None:
    merged = merge_lists(reading(data, x="a"), reading(data, y="b"), "Append")
    assert merged.trust == reading(data, x="a", y="b").trust
    assert not merged.findings


def test_the_clusters_entry_replaces_the_services_with_a_warning(data: dict[str, str]) -> None:
    merged = merge_lists(reading(data, x="a", y="b"), reading(data, x="c"), "Append")
    assert merged.trust == reading(data, x="c", y="b").trust
    assert [finding.code for finding in merged.findings] == ["name-in-both"]
    assert merged.is_valid


def test_the_same_entry_in_both_is_no_finding(data: dict[str, str]) -> None:
    assert not merge_lists(reading(data, x="a"), reading(data, x="a"), "Append").findings


def test_only_used_lists_matter(data: dict[str, str]) -> None:
    assert merge_lists(BROKEN, reading(data, y="b"), "Override").is_valid
    assert not merge_lists(BROKEN, reading(data, y="b"), "Append").is_valid
    assert not merge_lists(BROKEN, None, "Override").is_valid
    assert not merge_lists(reading(data, y="b"), BROKEN, "Override").is_valid


def test_a_set_with_too_many_files_is_an_error(data: dict[str, str]) -> None:
    many = {f"ca-{number}": "a" for number in range(MAX_ENTRIES)}
    assert merge_lists(reading(data, **many), None, "Override").is_valid
    assert merge_lists(reading(data, **many), reading(data, extra="b"), "Override").is_valid
    merged = merge_lists(reading(data, **many), reading(data, extra="b"), "Append")
    assert [finding.code for finding in merged.findings] == ["too-many"]
    assert not merged.is_valid


def test_scopes_belong_to_their_entry(data: dict[str, str]) -> None:
    service = ParsedList(reading(data, x="a", y="b").trust.with_scopes({"x": ["r.test"], "y": ["r.test"]}))
    merged = merge_lists(service, reading(data, y="b"), "Append")
    assert merged.trust.scopes == {"x": ("r.test",)}
    assert [finding.code for finding in merged.findings] == ["name-in-both"]
    assert merge_lists(service, None, "Override").trust.scopes == {"x": ("r.test",), "y": ("r.test",)}


def test_every_registry_of_an_entry_counts(data: dict[str, str]) -> None:
    def scoped(count: int) -> ParsedList:
        hosts = [f"r{number}.test" for number in range(count)]
        return ParsedList(reading(data, x="a").trust.with_scopes({"x": hosts}))

    assert merge_lists(scoped(MAX_ENTRIES // 2), None, "Override").is_valid
    assert [finding.code for finding in merge_lists(scoped(MAX_ENTRIES // 2 + 1), None, "Override").findings] == [
        "too-many"
    ]


def test_the_length_of_hosts_toml_is_limited(data: dict[str, str]) -> None:
    def scoped(count: int) -> ParsedList:
        names = {f"{number:0240}": "a" for number in range(count)}
        return ParsedList(reading(data, **names).trust.with_scopes({name: ["r.test"] for name in names}))

    assert merge_lists(scoped(30), None, "Override").is_valid
    assert [finding.code for finding in merge_lists(scoped(40), None, "Override").findings] == ["too-many"]


def test_a_set_larger_than_bootstrap_data_is_an_error(data: dict[str, str]) -> None:
    [entry] = reading(data, x="a").trust.entries
    large = dataclasses.replace(entry.certificates[0], pem="x" * MAX_PEM_BYTES)
    fits = ParsedList(TrustSet((TrustListEntry("x", (large,)),)))
    assert merge_lists(fits, None, "Override").is_valid
    assert not merge_lists(fits, reading(data, y="b"), "Append").is_valid
