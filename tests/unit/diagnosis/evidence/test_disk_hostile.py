"""Hostile reports of a node end in an inspection, or in an error of that node."""

import base64
import contextlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trustplane.diagnosis.evidence import disk, node_ssh
from trustplane.diagnosis.evidence.limit import TimeLimits
from trustplane.diagnosis.layer import Role
from trustplane.diagnosis.proxy import proxy_for
from trustplane.errors import NodeError, TrustplaneError
from trustplane.nodes.ssh import CommandOutput

STATE = "manifest \ntoken T\ncerts 100\nbootstrapped 0\nruntime active run 200\nmarker \nkubelet active\n"
END = "end - -"
FOLDER = "/etc/containerd/certs.d/harbor.corp"


class Shell:
    """A node with arbitrary answers, except for its readable trust."""

    address = "192.0.2.1"

    def __init__(self, *answers: str) -> None:
        self._answers = [STATE, *answers]

    async def run(self, command: str, *, stdin: str = "", timeout: float = 30.0) -> CommandOutput:
        del command, stdin, timeout
        return CommandOutput(self._answers.pop(0) if self._answers else "", "", 0)


def b64(text: str) -> str:
    return base64.b64encode(text.encode(errors="surrogatepass")).decode()


tomls = st.sampled_from(
    [
        "[host.'https://[']",
        "[host.'https://m.corp:99999999']",
        "host = 1",
        "host = [" * 3000,
        "a = " + "9" * 5000,
        "a" + ".a" * 8000 + " = 1",
        "[host." + "'https://m.corp']\n[host.".join(f"'https://{n}'" for n in range(90)) + "]",
        "a = 2001-99-99",
        "\x00",
    ]
).map(b64)
values = st.one_of(
    st.text(max_size=30), tomls, st.text(max_size=60).map(b64), st.sampled_from(["nan", "inf", "1e999", "-"])
)
names = st.one_of(
    st.sampled_from([f"{FOLDER}/hosts.toml", "/etc/ssl/certs/tkg-a.pem", "HTTPS_PROXY", "NO_PROXY", "harbor.corp"]),
    st.sampled_from(["nan", "inf", "-inf", "1e999", "9" * 5000, "1e15", ""]),
    st.text(max_size=20),
)
verbs = st.sampled_from(["clock", "file", "variable", "served", "asks", "x"])
answers = st.one_of(
    st.text(max_size=80),
    st.lists(st.builds("{} {} {}".format, verbs, names, values), max_size=12).map("\n".join),
)


@settings(max_examples=60)
@given(answers, answers)
@example("clock nan -", "")
@example("clock 1e999 -", "")
@example("clock " + "9" * 5000 + " -", "")
@example("file /etc/ssl/certs/tkg-a.pem a", "")
@example("file /etc/ssl/certs/tkg-a.pem é", "")
@example(f"file {FOLDER}/hosts.toml " + b64("[host.'https://[']"), "")
@example("variable HTTPS_PROXY " + b64("http://p:1") + "\nvariable NO_PROXY " + b64("a:²,b:" + "9" * 5000), "")
async def test_any_report_is_an_inspection_or_an_error_of_that_node(first: str, second: str) -> None:
    with contextlib.suppress(NodeError):
        inspection = await disk.inspect_node(
            Shell(f"{first}\n{END}", second), "harbor.corp", [(Role.REGISTRY, "harbor.corp")], TimeLimits()
        )
        assert node_ssh.inspection_summary(inspection)


async def test_a_report_with_too_many_lines_is_an_error() -> None:
    with pytest.raises(NodeError, match="lines"):
        await disk.inspect_node(Shell("x\n" * 20_001), "harbor.corp", [], TimeLimits())


@pytest.mark.parametrize("report", ["", "This account is not available.", "clock 1000.5 -"])
async def test_a_report_cut_short_is_an_error(report: str) -> None:
    with pytest.raises(NodeError, match="incomplete"):
        await disk.inspect_node(Shell(report), "harbor.corp", [], TimeLimits())


async def test_an_invalid_mirror_url_hides_no_other_mirror() -> None:
    text = "[host.'https://[']\n[host.'https://mirror.corp']\n"
    inspection = await disk.inspect_node(
        Shell(f"file {FOLDER}/hosts.toml {b64(text)}\n{END}"), "harbor.corp", [], TimeLimits()
    )
    assert disk._mirrors(inspection.disk) == ["mirror.corp"]


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=30))
@example("http://p:1", "a:²", "a:443")
def test_any_environment_yields_a_proxy_or_none(proxy: str, excepted: str, address: str) -> None:
    assert isinstance(proxy_for({"HTTPS_PROXY": proxy, "NO_PROXY": excepted}, address), str)


@given(st.text(max_size=200))
def test_any_toml_yields_mirrors_or_none(text: str) -> None:
    with contextlib.suppress(TrustplaneError):
        assert isinstance(disk.mirrors(text), list)
