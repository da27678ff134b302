from collections.abc import Collection, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.certificates.finding import Severity
from trustplane.trust.removal import Removal, allows_removal, check_removal, compare_fingerprints

names = st.text("abcdefgh", min_size=1, max_size=2)
certificates = st.frozensets(st.integers(0, 12).map(lambda number: f"{number:064x}"), max_size=4)
listings = st.dictionaries(names, certificates.filter(bool), max_size=8)

Listing = Mapping[str, Collection[str]]


def union(listing: Listing) -> set[str]:
    return {fingerprint for entry in listing.values() for fingerprint in entry}


@given(listings)
def test_the_same_list_loses_nothing(listing: Listing) -> None:
    assert compare_fingerprints(listing, listing) == Removal(len(union(listing)), (), 0, is_emptied=False)


@given(listings)
def test_renaming_splitting_and_reordering_lose_nothing(listing: Listing) -> None:
    every = sorted(union(listing))
    split = {f"new-{number}": [fingerprint] for number, fingerprint in enumerate(every)}
    for other in ({"all": every} if every else {}, split):
        assert not compare_fingerprints(listing, other).gone
        assert not compare_fingerprints(other, listing).gone
        assert check_removal(compare_fingerprints(listing, other), allowed=False) == []


@given(listings, listings)
def test_adding_entries_is_always_allowed(listing: Listing, more: Listing) -> None:
    added = {**{f"more-{name}": entry for name, entry in more.items()}, **listing}
    assert not compare_fingerprints(listing, added).needs_permission


@given(listings.filter(bool))
def test_emptying_always_needs_permission(listing: Listing) -> None:
    removed = compare_fingerprints(listing, {})
    assert removed.needs_permission
    assert removed.is_emptied
    assert removed.dropped == removed.before == len(union(listing))


@given(listings)
def test_an_empty_list_loses_nothing(listing: Listing) -> None:
    assert compare_fingerprints({}, listing) == Removal(0, (), 0, is_emptied=False)


@given(listings, listings)
def test_keeping_half_of_the_certificates_needs_no_permission(before: Listing, after: Listing) -> None:
    removed = compare_fingerprints(before, after)
    kept = len(union(before) & union(after))
    if kept and 2 * kept >= len(union(before)):
        assert not removed.needs_permission
    if not kept and removed.before and not (set(before) & set(after)):
        assert removed.needs_permission


@given(listings, listings)
def test_the_counts_add_up(before: Listing, after: Listing) -> None:
    removed = compare_fingerprints(before, after)
    assert {fingerprint for _, fingerprint in removed.gone} == union(before) - union(after)
    assert len({fingerprint for _, fingerprint in removed.gone}) == len(removed.gone)
    assert all(fingerprint in before[name] for name, fingerprint in removed.gone)
    assert 0 <= removed.replaced <= min(len(removed.gone), len(union(after) - union(before)))
    assert removed.dropped + removed.replaced == len(removed.gone) <= removed.before


@given(listings, listings)
def test_permission_turns_the_error_into_a_warning(before: Listing, after: Listing) -> None:
    removed = compare_fingerprints(before, after)
    refused = any(finding.severity is Severity.ERROR for finding in check_removal(removed, allowed=False))
    assert refused is removed.needs_permission
    with_permission = check_removal(removed, allowed=True)
    assert with_permission
    assert all(finding.severity is Severity.WARNING for finding in with_permission)


@pytest.mark.parametrize(
    ("before", "after", "refused", "replaced"),
    [
        ({"a": "A"}, {"a": "B"}, False, 1),
        ({"a": "A"}, {"b": "B"}, True, 0),
        ({"a": "A", "b": "B"}, {"b": "B"}, False, 0),
        ({"a": "A", "b": "B", "c": "C"}, {"c": "C"}, True, 0),
        ({"a": "ABCD"}, {"a": "A"}, True, 0),
        ({"a": "ABCD"}, {"a": "E"}, True, 1),
        ({"a": "A", "b": "B"}, {"a": "C", "b": "D"}, False, 2),
        ({"a": "A", "b": "B"}, {"a": "X", "b": "X"}, False, 1),
        ({"a": "A", "b": "A"}, {"b": "A"}, False, 0),
    ],
    ids=[
        "rotated-under-its-name",
        "another-list",
        "half-goes",
        "more-than-half-goes",
        "one-entry-shrinks",
        "one-entry-is-another",
        "every-entry-is-rotated",
        "two-become-one",
        "a-double-goes",
    ],
)
def test_dropped_and_replaced_certificates(before: Listing, after: Listing, *, refused: bool, replaced: int) -> None:
    removed = compare_fingerprints(before, after)
    assert (removed.needs_permission, removed.replaced) == (refused, replaced)


def test_the_error_names_certificates_and_next_step() -> None:
    removed = compare_fingerprints({f"ca-{number:02}": [f"{number:064x}"[::-1]] for number in range(13)}, {})
    [finding] = check_removal(removed, allowed=False)
    assert finding.code == "removal-not-allowed"
    assert finding.what.startswith(
        "The update would remove 13 of 13 certificates: ca-00 (0000000000), ca-01 (1000000000)"
    )
    assert finding.what.endswith("and 3 more")
    assert 'trustplane.dev/allow-removal: "true"' in finding.next_step


def test_an_unreadable_entry_is_shown_by_name() -> None:
    [finding] = check_removal(compare_fingerprints({"corp": ["corp"]}, {}), allowed=False)
    assert finding.what.endswith("1 of 1 certificates: corp")


@pytest.mark.parametrize(
    ("annotations", "allowed"),
    [({}, False), ({"trustplane.dev/allow-removal": "true"}, True), ({"trustplane.dev/allow-removal": "yes"}, False)],
)
def test_only_true_allows(annotations: dict[str, str], *, allowed: bool) -> None:
    assert allows_removal(annotations) is allowed
