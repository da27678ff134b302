import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.errors import HostError
from trustplane_local.provider import addresses
from trustplane_local.stack import FIRST_INDEX, LAST_INDEX

INDEXES = range(FIRST_INDEX, LAST_INDEX + 1)


@given(st.text(), st.sets(st.integers(0, 300), max_size=len(INDEXES) - 1))
def test_a_choice_is_free_and_in_range(uid: str, taken: set[int]) -> None:
    index = addresses.choose_index(uid, taken)
    assert index in INDEXES
    assert index not in taken


@given(st.lists(st.uuids().map(str), unique=True, max_size=len(INDEXES)))
def test_objects_never_share_an_address(uids: list[str]) -> None:
    taken: set[int] = set()
    for uid in uids:
        taken.add(addresses.choose_index(uid, taken))
    assert len(taken) == len(uids)


@given(st.uuids().map(str), st.sets(st.sampled_from(INDEXES), max_size=100))
def test_the_same_object_chooses_the_same_again(uid: str, taken: set[int]) -> None:
    assert addresses.choose_index(uid, taken) == addresses.choose_index(uid, set(taken))


def test_the_last_free_address_is_found() -> None:
    assert addresses.choose_index("a", set(INDEXES) - {77}) == 77


def test_a_full_stack_says_what_to_do() -> None:
    with pytest.raises(HostError, match=r"All 245 addresses of the stack are taken.*Delete clusters"):
        addresses.choose_index("a", set(INDEXES))
