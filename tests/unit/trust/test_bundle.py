import base64
import textwrap
import tomllib
import urllib.parse
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trustplane.api.configuration import TrustedCA
from trustplane.clusterapi import bootstrap
from trustplane.trust import entries
from trustplane.trust.bundle import (
    BUDGET_BYTES_BY_KIND,
    DEFAULT_BUDGET_BYTES,
    MAX_BUDGET_BYTES,
    MAX_BUNDLE_LENGTH,
    Bundle,
    bundle_budget_bytes,
    find_bundle_digest,
    parse_bundle,
    render_bundle,
)
from trustplane.trust.entries import EMPTY_SET, TrustListEntry, TrustSet, is_entry_name
from trustplane.trust.node_files import render_files

NAMES = st.from_regex(r"[.]?[A-Za-z0-9_-][A-Za-z0-9._-]{0,30}", fullmatch=True) | st.text(max_size=250).filter(
    is_entry_name
)
HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?(:[0-9]{1,5})?|\[[0-9a-f:]{2,10}\]", fullmatch=True)
# Bytes that Cluster API writes for a control plane machine besides template files: four CAs with their keys.
OTHERS = 16_000
# Characters of base64 by infrastructure kind, for uncompressed data.
LIMITS = {
    "AzureCluster": 87_380,
    "OpenStackCluster": 65_535,
    "VSphereCluster": 65_536,
    "HetznerCluster": 32_768 * 4 / 3,
}


@pytest.fixture(scope="module")
def trust(data: dict[str, str]) -> TrustSet:
    """Node-wide entries a and b, and entry c for two registries."""
    listed = [TrustedCA(name=name, data=each) for name, each in data.items()]
    return entries.parse_list(listed).trust.with_scopes({"c": ("r.test:5000", "[fd00::1]")})


@st.composite
def shapes(draw: st.DrawFn) -> list[tuple[str, int, tuple[str, ...]]]:
    """Draw names, certificates as bits of a number, and registries."""
    names = draw(st.lists(NAMES, unique=True, max_size=5))
    hosts = st.sets(HOSTS, max_size=2).map(lambda chosen: tuple(sorted(chosen)))
    return [(name, draw(st.integers(1, 7)), draw(hosts)) for name in names]


def build_set(shape: list[tuple[str, int, tuple[str, ...]]], trust: TrustSet) -> TrustSet:
    certificates = [entry.certificates[0] for entry in trust.entries]
    return TrustSet(
        tuple(
            TrustListEntry(
                name, tuple(certificate for bit, certificate in enumerate(certificates) if which >> bit & 1), hosts
            )
            for name, which, hosts in shape
        )
    )


@given(shape=shapes(), budget=st.integers(0, 9000))
def test_a_rendered_bundle_can_be_parsed(trust: TrustSet, shape: Any, budget: int) -> None:
    whole = build_set(shape, trust)
    text = render_bundle(whole, budget)
    parsed = parse_bundle(text)
    assert parsed is not None
    assert parsed.digest == whole.digest == find_bundle_digest(text)
    assert parsed.is_partial == (parsed.trust != whole)
    assert set(parsed.trust.entries) <= set(whole.entries)
    assert len(text.encode()) <= max(budget, 200)
    assert parse_bundle(render_bundle(whole, MAX_BUDGET_BYTES)) == Bundle(whole.digest, False, whole)
    assert parsed.files == render_files(parsed.trust)
    assert render_bundle(parsed.trust, MAX_BUDGET_BYTES) == text or parsed.is_partial


@given(shape=shapes(), budget=st.integers(0, 9000))
def test_omitted_entries_exceed_the_budget(trust: TrustSet, shape: Any, budget: int) -> None:
    whole = build_set(shape, trust)
    parsed = parse_bundle(render_bundle(whole, budget))
    assert parsed
    chosen = parsed.trust.entries
    for entry in whole.entries:
        before = [other for other in chosen if (not other.scope, other.name) < (not entry.scope, entry.name)]
        more = len(render_bundle(TrustSet((*before, entry)), MAX_BUDGET_BYTES)) + len("trustplane-partial\n")
        assert entry in chosen or more > budget


def test_registry_scoped_entries_have_priority(trust: TrustSet) -> None:
    sizes = {entry.name: len(render_bundle(TrustSet((entry,)), MAX_BUDGET_BYTES)) + 30 for entry in trust.entries}
    parsed = parse_bundle(render_bundle(trust, sizes["c"]))
    assert parsed
    assert (parsed.is_partial, parsed.trust.names) == (True, ["c"])
    assert {path: tomllib.loads(each)["server"] for path, each in parsed.files.items() if path.endswith(".toml")} == {
        "/etc/containerd/certs.d/[fd00::1]/hosts.toml": "https://[fd00::1]",
        "/etc/containerd/certs.d/r.test:5000/hosts.toml": "https://r.test:5000",
    }


def test_entries_after_one_that_exceeds_the_budget_may_fit(trust: TrustSet) -> None:
    long = TrustListEntry("a", tuple(entry.certificates[0] for entry in trust.entries))
    short = TrustListEntry("b", trust.entries[0].certificates)
    parsed = parse_bundle(
        render_bundle(TrustSet((long, short)), len(render_bundle(TrustSet((short,)), MAX_BUDGET_BYTES)) + 20)
    )
    assert parsed
    assert parsed.trust.entries == (short,)


def test_a_set_without_entries() -> None:
    text = render_bundle(EMPTY_SET, MAX_BUDGET_BYTES)
    assert text == f"trustplane-set-{EMPTY_SET.digest}\ntrustplane-end\n"
    assert parse_bundle(text) == Bundle(EMPTY_SET.digest, False, EMPTY_SET)


def swapped(text: str) -> str:
    head, *parts = text.removesuffix("trustplane-end\n").split("trustplane-file ")
    return "trustplane-file ".join([head, *reversed(parts)]) + "trustplane-end\n"


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text[:0],
        lambda text: text[:-1],
        lambda text: text[: len(text) // 2],
        lambda text: text.removesuffix("trustplane-end\n"),
        lambda text: text + "\n",
        lambda text: text + text,
        lambda text: " " + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("trustplane-set-", "trustplane-set-0", 1),
        lambda text: text.replace("tkg-a.pem", "tkg-z.pem"),
        lambda text: text.replace("/etc/ssl/certs/tkg-a.pem", "/etc/ssl/certs/../../tmp/tkg-a.pem"),
        lambda text: text.replace("/etc/ssl/certs/tkg-a.pem", "/etc/shadow"),
        lambda text: text.replace(
            "trustplane-end\n", "trustplane-file /etc/cron.d/x\n* * * * * root id\ntrustplane-end\n"
        ),
        lambda text: text.replace("trustplane-file ", "trustplane-partial\ntrustplane-file ", 2),
        lambda text: text.replace("-----END CERTIFICATE-----\n", "-----END CERTIFICATE-----\n# a word\n", 1),
        lambda text: text.replace("ca = [", 'skip_verify = true\n  ca = ["/x", '),
        lambda text: text.replace("https://r.test:5000", "https://evil.test"),
        lambda text: text.replace("trustplane-file /etc/ssl/certs/tkg-b.pem\n", ""),
        lambda text: text.replace("MII", "MIJ", 1),
        lambda text: text.replace("trustplane-end", "é\ntrustplane-end"),
        lambda text: text.replace("trustplane-end", "\ud800\ntrustplane-end"),
        lambda text: text.replace("trustplane-end\n", "trustplane-file x\n" * 200 + "trustplane-end\n"),
        lambda text: text.replace("trustplane-end\n", "x" * MAX_BUNDLE_LENGTH + "\ntrustplane-end\n"),
        swapped,
    ],
)
@pytest.mark.parametrize("budget", [MAX_BUDGET_BYTES, 4000])
def test_an_edited_bundle_is_rejected(trust: TrustSet, edit: Callable[[str], str], budget: int) -> None:
    text = render_bundle(trust, budget)
    assert parse_bundle(text)
    assert edit(text) != text or budget < MAX_BUDGET_BYTES
    assert edit(text) == text or parse_bundle(edit(text)) is None


def test_a_whole_set_matches_its_digest(trust: TrustSet) -> None:
    text = render_bundle(trust, MAX_BUDGET_BYTES)
    assert parse_bundle(text.replace(trust.digest, EMPTY_SET.digest)) is None
    assert parse_bundle(
        text.replace(f"{trust.digest}\n", f"{trust.digest}\ntrustplane-partial\n")
    )  # only a comparison with `render` can refute it


@given(
    text=st.text() | st.text().map(lambda text: f"trustplane-set-{'0' * 64}\ntrustplane-file {text}\ntrustplane-end\n")
)
def test_parsing_never_raises(text: str) -> None:
    assert parse_bundle(text) is None
    find_bundle_digest(text)
    find_bundle_digest(text.encode(errors="replace"))


def escaped(text: str) -> str:
    """Return a file as Ignition's configuration encodes it (vincent-petithory/dataurl, rfc2396.go)."""
    return urllib.parse.quote(text, safe="-_.!~*'()")


@pytest.mark.parametrize("script", ["", bootstrap.UNPACK_SCRIPT], ids=["alone", "after the script"])
def test_the_digest_is_readable_in_any_format(trust: TrustSet, script: str) -> None:
    text = render_bundle(trust, DEFAULT_BUDGET_BYTES)
    contents = [content for content in (script, text) if content]
    cloud_config = "".join(
        f"-   path: /x\n    content: |\n{textwrap.indent(content, ' ' * 6)}\n" for content in contents
    )
    ignition = "".join(f'{{"contents":{{"source":"data:,{escaped(content)}"}}}}' for content in contents)
    assert find_bundle_digest(f"## template: jinja\n#cloud-config\n\nwrite_files:\n{cloud_config}") == trust.digest
    assert find_bundle_digest(ignition.encode()) == trust.digest
    assert urllib.parse.unquote(escaped(text)) == text


@pytest.mark.parametrize(
    "text", ["", "trustplane-set-", f"trustplane-set-{'a' * 63}", f"trustplane-set-{'a' * 65}", "\0" * 100]
)
def test_other_texts_have_no_digest(text: str) -> None:
    assert find_bundle_digest(text) is None
    assert find_bundle_digest(text.encode() + b"\xff") is None


def test_the_first_mark_counts_and_the_search_is_bounded() -> None:
    first, second = (f"trustplane-set-{digit * 64}\n" for digit in "12")
    assert find_bundle_digest(first + second) == "1" * 64
    assert find_bundle_digest(" " * MAX_BUNDLE_LENGTH + first) is None
    assert find_bundle_digest(b" " * MAX_BUNDLE_LENGTH + first.encode()) is None


def test_budgets() -> None:
    assert bundle_budget_bytes("AWSCluster") == bundle_budget_bytes("LocalCluster") == MAX_BUDGET_BYTES
    assert bundle_budget_bytes("") == bundle_budget_bytes("MyCluster") == DEFAULT_BUDGET_BYTES == 24_000
    assert all(0 < budget <= MAX_BUDGET_BYTES for budget in BUDGET_BYTES_BY_KIND.values())


@pytest.mark.parametrize(("kind", "limit"), LIMITS.items())
def test_a_control_plane_machine_s_user_data_has_room_for_the_budget(
    data: dict[str, str], kind: str, limit: float
) -> None:
    listed = [TrustedCA(name=f"{name}-{n}", data=each) for n in range(60) for name, each in data.items()]
    text = render_bundle(entries.parse_list(listed).trust, bundle_budget_bytes(kind))
    assert find_bundle_digest(text)
    indented = textwrap.indent(bootstrap.UNPACK_SCRIPT + text, " " * 6)
    assert (OTHERS + len(indented)) * 4 / 3 < limit


@settings(max_examples=10)
@given(st.permutations("abc"))
def test_equal_lists_have_equal_bundles(data: dict[str, str], order: list[str]) -> None:
    parsed = entries.parse_list([TrustedCA(name=name, data=data[name]) for name in order]).trust
    assert render_bundle(parsed, MAX_BUDGET_BYTES) == render_bundle(
        entries.parse_list([TrustedCA(name=name, data=data[name]) for name in "abc"]).trust, MAX_BUDGET_BYTES
    )
    assert base64.b64decode(data["a"]).decode().strip() in render_bundle(parsed, MAX_BUDGET_BYTES)
