import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.fields import field, patch
from trustplane.api.meta import Json


@pytest.mark.parametrize("found", [None, {}, {"spec": None}, {"spec": "text"}, {"spec": {"a": []}}, []])
def test_what_is_not_there_is_none(found: Json) -> None:
    assert field(found, "spec", "a", "b") is None


@given(st.lists(st.text(), min_size=1), st.integers())
def test_what_a_patch_sets_is_found_at_its_path(path: list[str], value: int) -> None:
    assert field(patch(path, value), *path) == value
