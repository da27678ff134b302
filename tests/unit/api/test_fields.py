import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.fields import field, patch
from trustplane.api.meta import Json


@pytest.mark.parametrize("obj", [None, {}, {"spec": None}, {"spec": "text"}, {"spec": {"a": []}}, []])
def test_a_missing_field_is_none(obj: Json) -> None:
    assert field(obj, "spec", "a", "b") is None


@given(st.lists(st.text(), min_size=1), st.integers())
def test_a_patch_sets_the_value_at_its_path(path: list[str], value: int) -> None:
    assert field(patch(path, value), *path) == value
