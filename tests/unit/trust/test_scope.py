import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustplane.api.configuration import TrustedCA
from trustplane.trust import entries, scope
from trustplane.trust.entries import EMPTY_SET
from trustplane.trust.node_files import is_registry_host

ANNOTATION = "trustplane.dev/registry-scope"
NAMES = st.sampled_from(["apps-root", "partner", "a.b", "_x"])
HOSTS = st.sampled_from(["apps.corp.test", "registry.partner.test:5000", "[fd00::1]:443", "10.0.0.1"])


def listed(data: dict[str, str], **names: str) -> list[TrustedCA]:
    return [TrustedCA(name=name, data=data[ca]) for name, ca in names.items()]


def read(some: list[TrustedCA], text: str) -> entries.ParsedList:
    return scope.parse_scoped_list(some, {ANNOTATION: text}, where="list")


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", {}),
        (" ,\n, ", {}),
        ("a=r.test", {"a": ("r.test",)}),
        ("a=r.test, b=s.test:5000,", {"a": ("r.test",), "b": ("s.test:5000",)}),
        ("a = r.test\nb=r.test", {"a": ("r.test",), "b": ("r.test",)}),
        ("a=s.test,a=r.test,a=s.test", {"a": ("r.test", "s.test")}),
    ],
)
def test_named_entries_are_registry_scoped(data: dict[str, str], text: str, hosts: dict[str, tuple[str, ...]]) -> None:
    reading = read(listed(data, a="a", b="b", c="c"), text)
    assert reading.is_valid
    assert reading.trust.names == ["a", "b", "c"]
    assert reading.trust.scopes == hosts
    assert reading.trust.node_wide.names == [name for name in "abc" if name not in hosts]


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("a", "bad-scope", "NAME=HOST"),
        ("a=", "bad-scope", "NAME=HOST"),
        ("=r.test", "bad-scope", "NAME=HOST"),
        ("a/b=r.test", "bad-scope", "NAME=HOST"),
        ("b=r.test;a=r.test", "bad-scope-host", "entry b"),
        ("b=r.test, a=https://r.test", "bad-scope-host", "registry-scope[1]: has no valid registry host for entry a"),
        ("a=r.test/team", "bad-scope-host", "entry a"),
        ("a=_default", "bad-scope-host", "entry a"),
        ("other=r.test", "unknown-scope-entry", "entry other"),
        ("A=r.test", "unknown-scope-entry", "entry A"),
    ],
)
def test_an_invalid_value_breaks_the_list(data: dict[str, str], text: str, code: str, word: str) -> None:
    reading = read(listed(data, a="a", b="b"), text)
    assert [finding.code for finding in reading.findings] == [code]
    assert word in str(reading.findings[0])
    assert not reading.is_valid
    assert reading.trust == EMPTY_SET


def test_a_broken_entry_is_reported_once(data: dict[str, str]) -> None:
    reading = read([*listed(data, a="a"), TrustedCA(name="b", data="bm90aGluZw==")], "b=r.test")
    assert [finding.code for finding in reading.findings] == ["no-certificate"]


def test_without_the_annotation_nothing_is_scoped(data: dict[str, str]) -> None:
    some = listed(data, a="a")
    assert scope.parse_scoped_list(some, {}, where="list") == entries.parse_list(some, where="list")


@given(st.text())
def test_an_entry_is_node_wide_or_scoped(text: str) -> None:
    hosts, findings = scope.parse_scopes(text, {"a"})
    assert hosts.keys() <= {"a"}
    assert all(is_registry_host(host) for scoped_hosts in hosts.values() for host in scoped_hosts)
    assert findings or all(not part.strip() or "=" in part for part in text.replace("\n", ",").split(","))


@given(st.dictionaries(NAMES, st.lists(HOSTS, min_size=1, unique=True).map(lambda some: tuple(sorted(some)))))
def test_a_rendered_value_can_be_parsed(hosts: dict[str, tuple[str, ...]]) -> None:
    assert scope.parse_scopes(scope.render_scopes(hosts), hosts) == (dict(sorted(hosts.items())), ())
