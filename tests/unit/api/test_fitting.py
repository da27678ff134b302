from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.api.limits import schema_of, violations

from trustplane.api.crds import crds
from trustplane.api.crds.fitting import fitted
from trustplane.api.meta import Json

KINDS = [one["spec"]["names"]["kind"] for one in crds()]
LONG = "x" * 40_000


def values(schema: Json) -> st.SearchStrategy[Any]:
    """Values of the right types, and of any size."""
    match schema["type"]:
        case "string" if "enum" in schema:
            return st.sampled_from([*schema["enum"], "Other"])
        case "string":
            return st.sampled_from(["", "short", LONG])
        case "integer":
            return st.sampled_from([0, 2**40, -(2**70)])
        case "array":
            return st.builds(lambda one, count: [one] * count, values(schema["items"]), st.sampled_from([1, 1000]))
    required = schema.get("required", ())
    fields = {name: values(one) for name, one in schema["properties"].items()}
    # What is required is of our own making, and right.
    fields |= {name: st.just("True") for name in required if "enum" in schema["properties"][name]}
    optional = {name: one for name, one in fields.items() if name not in required}
    return st.fixed_dictionaries({name: fields[name] for name in required}, optional=optional)


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_status_says_the_api_server_takes_it(kind: str) -> None:
    schema = schema_of(kind)

    @settings(max_examples=25, deadline=None)
    @given(values(schema))
    def check(status: Json) -> None:
        found = fitted(kind, status)
        assert not list(violations(found, schema))
        assert fitted(kind, found) == found
        if not list(violations(status, schema)):
            assert found == status

    check()


def test_what_is_cut_shows_it() -> None:
    found = fitted("Registry", {"anchor": {"name": LONG}})
    assert found["anchor"]["name"].endswith("x…")
    assert len(found["anchor"]["name"]) == 253
