import re
from pathlib import Path

import pytest

from trustplane.errors import UserError
from trustplane_local.versions import DEFAULT_VERSIONS, VERSION_SETS, Versions, choose_versions

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "versions.md"


@pytest.mark.parametrize(
    ("name", "environment", "found"),
    [
        ("", {}, "default"),
        ("", {"TRUSTPLANE_VERSIONS": ""}, "default"),
        ("", {"TRUSTPLANE_VERSIONS": "capi-1.13"}, "capi-1.13"),
        ("default", {"TRUSTPLANE_VERSIONS": "capi-1.13"}, "default"),
    ],
)
def test_what_is_asked_for_comes_before_the_environment(name: str, environment: dict[str, str], found: str) -> None:
    assert choose_versions(name, environment) is VERSION_SETS[found]


@pytest.mark.parametrize(("name", "environment"), [("none", {}), ("", {"TRUSTPLANE_VERSIONS": "none"})])
def test_an_unknown_set_is_told_with_those_that_there_are(name: str, environment: dict[str, str]) -> None:
    with pytest.raises(UserError, match="'none'") as error:
        choose_versions(name, environment)
    assert all(one in error.value.why for one in VERSION_SETS)


@pytest.mark.parametrize("versions", VERSION_SETS.values(), ids=lambda versions: versions.name)
def test_the_reference_lists_every_set(versions: Versions) -> None:
    row, _run = re.findall(rf"^\| `{re.escape(versions.name)}` \|(.*)\|$", PAGE.read_text(), re.MULTILINE)
    cells = [cell.strip() for cell in row.split("|")]
    wanted = [versions.cluster_api, versions.kubernetes, versions.containerd, versions.etcd, versions.coredns]
    assert cells[: len(wanted)] == [one.removeprefix("v") for one in wanted]


def test_sets_are_found_by_their_names() -> None:
    assert all(name == one.name for name, one in VERSION_SETS.items())
    assert VERSION_SETS["default"] is DEFAULT_VERSIONS
