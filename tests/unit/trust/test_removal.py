from collections.abc import Collection, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.certificates.finding import Severity
from trustplane.trust.removal import Removal, is_allowed, removal, removal_findings

names = st.text("abcdefgh", min_size=1, max_size=2)
certificates = st.frozensets(st.integers(0, 12).map(lambda number: f"{number:064x}"), max_size=4)
listings = st.dictionaries(names, certificates.filter(bool), max_size=8)

Listing = Mapping[str, Collection[str]]


def union(listing: Listing) -> set[str]:
    return {one for entry in listing.values() for one in entry}


@given(listings)
def test_the_same_list_loses_nothing(listing: Listing) -> None:
    assert removal(listing, listing) == Removal(len(union(listing)), (), 0, is_emptied=False)


@given(listings)
def test_renaming_splitting_and_reordering_lose_nothing(listing: Listing) -> None:
    every = sorted(union(listing))
    split = {f"new-{number}": [one] for number, one in enumerate(every)}
    for other in ({"all": every} if every else {}, split):
        assert not removal(listing, other).gone
        assert not removal(other, listing).gone
        assert removal_findings(removal(listing, other), allowed=False) == []


@given(listings, listings)
def test_adding_entries_is_never_refused(listing: Listing, more: Listing) -> None:
    added = {**{f"more-{name}": entry for name, entry in more.items()}, **listing}
    assert not removal(listing, added).needs_permission


@given(listings.filter(bool))
def test_emptying_always_needs_permission(listing: Listing) -> None:
    found = removal(listing, {})
    assert found.needs_permission
    assert found.is_emptied
    assert found.dropped == found.before == len(union(listing))


@given(listings)
def test_whoever_had_nothing_loses_nothing(listing: Listing) -> None:
    assert removal({}, listing) == Removal(0, (), 0, is_emptied=False)


@given(listings, listings)
def test_what_keeps_half_of_the_certificates_is_never_refused(before: Listing, after: Listing) -> None:
    found = removal(before, after)
    kept = len(union(before) & union(after))
    if kept and 2 * kept >= len(union(before)):
        assert not found.needs_permission
    if not kept and found.before and not (set(before) & set(after)):
        assert found.needs_permission


@given(listings, listings)
def test_the_parts_add_up(before: Listing, after: Listing) -> None:
    found = removal(before, after)
    assert {one for _, one in found.gone} == union(before) - union(after)
    assert len({one for _, one in found.gone}) == len(found.gone)
    assert all(one in before[name] for name, one in found.gone)
    assert 0 <= found.replaced <= min(len(found.gone), len(union(after) - union(before)))
    assert found.dropped + found.replaced == len(found.gone) <= found.before


@given(listings, listings)
def test_an_error_is_exactly_what_permission_turns_into_a_warning(before: Listing, after: Listing) -> None:
    found = removal(before, after)
    refused = any(one.severity is Severity.ERROR for one in removal_findings(found, allowed=False))
    assert refused is found.needs_permission
    with_permission = removal_findings(found, allowed=True)
    assert with_permission
    assert all(one.severity is Severity.WARNING for one in with_permission)


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
def test_what_counts_as_dropped(before: Listing, after: Listing, *, refused: bool, replaced: int) -> None:
    found = removal(before, after)
    assert (found.needs_permission, found.replaced) == (refused, replaced)


def test_the_refusal_names_what_would_go_and_what_to_do() -> None:
    lost = removal({f"ca-{number:02}": [f"{number:064x}"[::-1]] for number in range(13)}, {})
    [finding] = removal_findings(lost, allowed=False)
    assert finding.code == "removal-not-allowed"
    assert finding.what.startswith(
        "The update would remove 13 of 13 certificates: ca-00 (0000000000), ca-01 (1000000000)"
    )
    assert finding.what.endswith("and 3 more")
    assert 'trustplane.dev/allow-removal: "true"' in finding.next_step


def test_an_entry_that_cannot_be_read_is_shown_by_its_name() -> None:
    [finding] = removal_findings(removal({"corp": ["corp"]}, {}), allowed=False)
    assert finding.what.endswith("1 of 1 certificates: corp")


@pytest.mark.parametrize(
    ("annotations", "allowed"),
    [({}, False), ({"trustplane.dev/allow-removal": "true"}, True), ({"trustplane.dev/allow-removal": "yes"}, False)],
)
def test_only_true_allows(annotations: dict[str, str], *, allowed: bool) -> None:
    assert is_allowed(annotations) is allowed
