import dataclasses

from trustplane.api.configuration import TrustedCA
from trustplane.api.limits import MAX_ENTRIES, MAX_PEM_BYTES
from trustplane.trust.effective import effective
from trustplane.trust.entries import EMPTY, Entry, Reading, TrustSet, read


def reading(data: dict[str, str], **names: str) -> Reading:
    return read([TrustedCA(name=name, data=data[ca]) for name, ca in names.items()])


BROKEN = read([TrustedCA(name="broken", data="!")])


def test_without_an_own_list_the_service_list_applies(data: dict[str, str]) -> None:
    assert effective(reading(data, x="a"), None, "Override").trust == reading(data, x="a").trust
    assert effective(reading(data, x="a"), None, "Append").trust == reading(data, x="a").trust


def test_an_own_list_replaces_the_service_list(data: dict[str, str]) -> None:
    assert effective(reading(data, x="a"), reading(data, y="b"), "Override").trust.names == ["y"]


def test_an_empty_own_list_trusts_no_ca(data: dict[str, str]) -> None:
    assert effective(reading(data, x="a"), Reading(), "Override").trust == EMPTY


def test_an_own_list_can_be_appended(data: dict[str, str]) -> None:
    merged = effective(reading(data, x="a"), reading(data, y="b"), "Append")
    assert merged.trust == reading(data, x="a", y="b").trust
    assert not merged.findings


def test_the_clusters_entry_replaces_the_services_with_a_warning(data: dict[str, str]) -> None:
    merged = effective(reading(data, x="a", y="b"), reading(data, x="c"), "Append")
    assert merged.trust == reading(data, x="c", y="b").trust
    assert [finding.code for finding in merged.findings] == ["name-in-both"]
    assert merged.ok


def test_the_same_entry_in_both_is_no_finding(data: dict[str, str]) -> None:
    assert not effective(reading(data, x="a"), reading(data, x="a"), "Append").findings


def test_only_used_lists_matter(data: dict[str, str]) -> None:
    assert effective(BROKEN, reading(data, y="b"), "Override").ok
    assert not effective(BROKEN, reading(data, y="b"), "Append").ok
    assert not effective(BROKEN, None, "Override").ok
    assert not effective(reading(data, y="b"), BROKEN, "Override").ok


def test_a_set_with_too_many_files_is_an_error(data: dict[str, str]) -> None:
    many = {f"ca-{number}": "a" for number in range(MAX_ENTRIES)}
    assert effective(reading(data, **many), None, "Override").ok
    assert effective(reading(data, **many), reading(data, extra="b"), "Override").ok
    merged = effective(reading(data, **many), reading(data, extra="b"), "Append")
    assert [finding.code for finding in merged.findings] == ["too-many"]
    assert not merged.ok


def test_scopes_belong_to_their_entry(data: dict[str, str]) -> None:
    service = Reading(reading(data, x="a", y="b").trust.scoped({"x": ["r.test"], "y": ["r.test"]}))
    merged = effective(service, reading(data, y="b"), "Append")
    assert merged.trust.hosts == {"x": ("r.test",)}
    assert [finding.code for finding in merged.findings] == ["name-in-both"]
    assert effective(service, None, "Override").trust.hosts == {"x": ("r.test",), "y": ("r.test",)}


def test_every_registry_of_an_entry_counts(data: dict[str, str]) -> None:
    def scoped(count: int) -> Reading:
        hosts = [f"r{number}.test" for number in range(count)]
        return Reading(reading(data, x="a").trust.scoped({"x": hosts}))

    assert effective(scoped(MAX_ENTRIES // 2), None, "Override").ok
    assert [finding.code for finding in effective(scoped(MAX_ENTRIES // 2 + 1), None, "Override").findings] == [
        "too-many"
    ]


def test_the_length_of_hosts_toml_is_limited(data: dict[str, str]) -> None:
    def scoped(count: int) -> Reading:
        names = {f"{number:0240}": "a" for number in range(count)}
        return Reading(reading(data, **names).trust.scoped({name: ["r.test"] for name in names}))

    assert effective(scoped(30), None, "Override").ok
    assert [finding.code for finding in effective(scoped(40), None, "Override").findings] == ["too-many"]


def test_a_set_larger_than_bootstrap_data_is_an_error(data: dict[str, str]) -> None:
    [entry] = reading(data, x="a").trust.entries
    large = dataclasses.replace(entry.certificates[0], pem="x" * MAX_PEM_BYTES)
    fits = Reading(TrustSet((Entry("x", (large,)),)))
    assert effective(fits, None, "Override").ok
    assert not effective(fits, reading(data, y="b"), "Append").ok
