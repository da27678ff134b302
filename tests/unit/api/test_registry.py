from datetime import UTC, datetime

import msgspec
import pytest

from trustplane.api.meta import Json
from trustplane.api.registry import Registry

LABELS = {"env": "prod", "team": "a"}


def registry(selector: Json | None) -> Registry:
    spec = {"host": "r", **({"clusterSelector": selector} if selector is not None else {})}
    return msgspec.convert({"metadata": {"name": "r"}, "spec": spec}, Registry)


def requirement(key: str, operator: str, *values: str) -> Json:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        (None, True),
        ({}, True),
        ({"matchLabels": {"env": "prod"}}, True),
        ({"matchLabels": {"env": "prod", "team": "b"}}, False),
        (requirement("env", "In", "test", "prod"), True),
        (requirement("none", "In", "x"), False),
        (requirement("env", "NotIn", "prod"), False),
        (requirement("none", "NotIn", "prod"), True),
        (requirement("env", "Exists"), True),
        (requirement("env", "DoesNotExist"), False),
        (requirement("none", "DoesNotExist"), True),
        (requirement("env", "Like"), False),
    ],
)
def test_selectors_match_kubernetes(selector: Json | None, selects: bool) -> None:  # noqa: FBT001
    assert registry(selector).selects(LABELS) == selects


def test_a_terminating_registry_selects_nothing() -> None:
    terminating = registry(None)
    terminating.metadata.deletion_timestamp = datetime(2026, 1, 1, tzinfo=UTC)
    assert not terminating.selects({})
