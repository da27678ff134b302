from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.api.limits import schema_of, violations

from trustplane.api.crds import crds
from trustplane.api.crds.fitting import fitted
from trustplane.api.meta import Json

KINDS = [crd["spec"]["names"]["kind"] for crd in crds()]
LONG = "x" * 40_000


def values(schema: Json) -> st.SearchStrategy[Any]:
    """Return values of the correct types and any size."""
    match schema["type"]:
        case "string" if "enum" in schema:
            return st.sampled_from([*schema["enum"], "Other"])
        case "string":
            return st.sampled_from(["", "short", LONG])
        case "integer":
            return st.sampled_from([0, 2**40, -(2**70)])
        case "array":
            return st.builds(lambda item, count: [item] * count, values(schema["items"]), st.sampled_from([1, 1000]))
    required = schema.get("required", ())
    fields = {name: values(field) for name, field in schema["properties"].items()}
    # Trustplane sets required fields itself, to valid values.
    fields |= {name: st.just("True") for name in required if "enum" in schema["properties"][name]}
    optional = {name: field for name, field in fields.items() if name not in required}
    return st.fixed_dictionaries({name: fields[name] for name in required}, optional=optional)


@pytest.mark.parametrize("kind", KINDS)
def test_every_fitted_status_is_valid(kind: str) -> None:
    schema = schema_of(kind)

    @settings(max_examples=25, deadline=None)
    @given(values(schema))
    def check(status: Json) -> None:
        result = fitted(kind, status)
        assert not list(violations(result, schema))
        assert fitted(kind, result) == result
        if not list(violations(status, schema)):
            assert result == status

    check()


def test_shortened_text_ends_with_an_ellipsis() -> None:
    result = fitted("Registry", {"anchor": {"name": LONG}})
    assert result["anchor"]["name"].endswith("x…")
    assert len(result["anchor"]["name"]) == 253
