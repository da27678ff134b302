import re
from pathlib import Path

import pytest

from trustplane.errors import UserError
from trustplane_local.versions import DEFAULT_VERSIONS, VERSION_SETS, Versions, choose_versions

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "versions.md"


@pytest.mark.parametrize(
    ("name", "environment", "expected"),
    [
        ("", {}, "default"),
        ("", {"TRUSTPLANE_VERSIONS": ""}, "default"),
        ("", {"TRUSTPLANE_VERSIONS": "capi-1.13"}, "capi-1.13"),
        ("default", {"TRUSTPLANE_VERSIONS": "capi-1.13"}, "default"),
    ],
)
def test_the_option_takes_precedence_over_the_environment(
    name: str, environment: dict[str, str], expected: str
) -> None:
    assert choose_versions(name, environment) is VERSION_SETS[expected]


@pytest.mark.parametrize(("name", "environment"), [("none", {}), ("", {"TRUSTPLANE_VERSIONS": "none"})])
def test_the_error_for_an_unknown_set_lists_the_sets(name: str, environment: dict[str, str]) -> None:
    with pytest.raises(UserError, match="'none'") as error:
        choose_versions(name, environment)
    assert all(known in error.value.why for known in VERSION_SETS)


@pytest.mark.parametrize("versions", VERSION_SETS.values(), ids=lambda versions: versions.name)
def test_the_reference_lists_every_set(versions: Versions) -> None:
    row, _run = re.findall(rf"^\| `{re.escape(versions.name)}` \|(.*)\|$", PAGE.read_text(), re.MULTILINE)
    cells = [cell.strip() for cell in row.split("|")]
    expected = [versions.cluster_api, versions.kubernetes, versions.containerd, versions.etcd, versions.coredns]
    assert cells[: len(expected)] == [version.removeprefix("v") for version in expected]


def test_sets_are_keyed_by_their_names() -> None:
    assert all(name == versions.name for name, versions in VERSION_SETS.items())
    assert VERSION_SETS["default"] is DEFAULT_VERSIONS
