"""A node's report may be anything: it is the answer of a machine that belongs to somebody else."""

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trustplane.api.meta import Metadata, Object
from trustplane.errors import NodeError
from trustplane.nodes import hosts, plan
from trustplane.nodes.hostkey import ANNOTATION, check_host_key
from trustplane.nodes.state import NodeReport, RuntimeRun, parse_node_report

VERBS = ["manifest", "stat", "sum", "token", "openssl", "link", "certs", "bootstrapped", "runtime", "marker", "kubelet"]
PEM_PATH = "/etc/ssl/certs/tkg-a.pem"


def b64(text: str | bytes) -> str:
    return base64.b64encode(text if isinstance(text, bytes) else text.encode(errors="surrogatepass")).decode()


def manifest(text: str | bytes) -> str:
    return f"manifest {b64(text)}\ntoken T\nkubelet active\n"


numbers = st.one_of(st.integers().map(str), st.text("0123456789٣९.-+e", max_size=30), st.just("9" * 5000))
paths = st.one_of(st.text(max_size=40), st.sampled_from([PEM_PATH, "/etc/containerd/certs.d/r.test/hosts.toml"]))
records = st.one_of(
    st.binary(max_size=200),
    st.dictionaries(st.text(max_size=9), st.one_of(st.text(), st.integers(), st.none()), max_size=5).map(
        lambda files: json.dumps({"files": files, "version": 1}).encode()
    ),
).map(b64)
values = st.one_of(
    st.text(max_size=60),
    records,
    numbers,
    st.builds("{} {}|{}".format, numbers, st.sampled_from(["regular file", "symbolic link", ""]), paths),
    st.builds("{}  {}".format, st.text("0123456789abcdef", max_size=64), paths),
    st.builds("active {} {}".format, st.text(max_size=5), numbers),
)
lines = st.one_of(st.text(max_size=80), st.builds("{} {}".format, st.sampled_from(VERBS), values))
reports = st.lists(lines, max_size=30).map("\n".join)
whole = reports.map(lambda report: f"token T\nkubelet active\n{report}")


@given(st.one_of(reports, whole, st.binary(max_size=300).map(lambda data: data.decode(errors="replace"))))
@example("manifest \ntoken T\ncerts " + "9" * 5000 + "\nkubelet active\n")
@example("manifest é\ntoken T\nkubelet active\n")
@example("marker é\ntoken T\nkubelet active\n")
@example("stat 9999999999999999999 regular file|x\ntoken T\nkubelet active")
@example(manifest("[" * 100_000))
@example(manifest('{"files": ' + '{"a":' * 2_000))
@example(manifest('{"files": {}, "version": ' + "9" * 5000 + "}"))
@example(manifest(b"\xff\xfe"))
def test_whatever_a_node_reports_is_a_state_or_an_error_of_that_node(report: str) -> None:
    try:
        state = parse_node_report(report)
    except NodeError as error:
        text = str(error)
    else:
        _check_use(state)
        return
    assert text.isprintable()
    assert len(text) < 1000


def _check_use(state: NodeReport) -> None:
    desired = {PEM_PATH: "pem"}
    drift = plan.find_drift(desired, state)
    assert plan.plan_write(desired, state).is_needed or not drift.missing
    assert hosts.find_shadows(state, desired) is not None


def test_a_number_that_is_none_counts_as_unknown() -> None:
    state = parse_node_report(
        "token T\nkubelet active\ncerts " + "9" * 5000 + "\nruntime active run 99999999999999999\n"
    )
    assert (state.certs_changed_at, state.runtime) == (0, RuntimeRun("active", "run", 0))


@pytest.mark.parametrize(
    "report",
    [
        manifest(json.dumps({"files": {f"/etc/ssl/certs/tkg-{n}.pem": "0" * 64 for n in range(10_000)}})),
        "token T\nkubelet active\n" + "link x\n" * 20_001,
    ],
    ids=["record", "lines"],
)
def test_a_report_beyond_all_bounds_is_the_nodes_error(report: str) -> None:
    with pytest.raises(NodeError):
        parse_node_report(report)


def test_what_a_node_says_instead_of_a_report_is_printable() -> None:
    with pytest.raises(NodeError) as caught:
        parse_node_report("\x1b]0;owned\x07password=hunter22\nsudo: a password is required\n")
    assert "\x1b" not in str(caught.value)
    assert "hunter22" not in str(caught.value)


keys = st.one_of(st.text(max_size=80), st.builds("{} {}".format, st.text(), st.text()))


@given(shown=keys, known=keys, annotations=st.booleans())
def test_whatever_host_key_is_shown_is_pinned_known_or_refused(*, shown: str, known: str, annotations: bool) -> None:
    metadata = Metadata(name="m", resource_version="1", annotations={ANNOTATION: known} if annotations else {})
    try:
        patch = check_host_key(Object(metadata=metadata), shown)
    except NodeError:
        return
    if patch:
        assert patch["metadata"]["annotations"][ANNOTATION].split()[:2] == shown.split()[:2]


def test_times_of_the_far_future_are_only_compared() -> None:
    far = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp()) * 10
    report = f"stat {far} regular file|{PEM_PATH}\nsum 0  {PEM_PATH}\ntoken T\ncerts {far}\nkubelet active\n"
    assert not plan.has_loaded_files(parse_node_report(report), {PEM_PATH: "0"}, {})
