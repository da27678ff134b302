"""Untrusted text in any field neither controls the terminal nor reveals credentials."""

import contextlib
import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
import structlog
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle import drafts
from oracle.encoding import dns
from oracle.keyring import Keyring
from oracle.pem import pem
from oracle.server import serving
from rich.console import Console as RichConsole

from trustplane import cli
from trustplane.api.clustertrust import (
    ClusterTrust,
    ClusterTrustStatus,
    DesiredTrust,
    ImageSource,
    ProofResult,
    RegistryAccess,
    TrustEntry,
    TrustInForce,
)
from trustplane.api.keys import Key
from trustplane.api.meta import Condition, Metadata
from trustplane.certificates.finding import Finding
from trustplane.cli import fetch_ca, output, service
from trustplane.cli.check import command as check
from trustplane.cli.check import tables as check_tables
from trustplane.cli.check.report import CheckReport, LocatedFinding
from trustplane.cli.console import console
from trustplane.cli.diagnose import report as diagnose_report
from trustplane.cli.explain import command as explain
from trustplane.cli.explain import report as explain_report
from trustplane.cli.plan import command as plan
from trustplane.cli.plan.effects import Effect, ManifestPlan, PlannedObject
from trustplane.cli.prove import command as prove
from trustplane.cli.prove.rows import Row
from trustplane.cli.status import command as status
from trustplane.cli.status import risks as status_risk
from trustplane.cli.status.nodes import NodeRow
from trustplane.cli.update import command as update
from trustplane.clusterapi.node_state import registry_verdict
from trustplane.diagnosis.cause import Cause, Code, Confidence
from trustplane.diagnosis.decision import Diagnosis
from trustplane.diagnosis.explanation import Evidence
from trustplane.diagnosis.explanation import explain as explained
from trustplane.diagnosis.facts import Case, CollectorReport
from trustplane.diagnosis.report import Answer
from trustplane.errors import NodeError
from trustplane.reporting.progress import UpdateProgress
from trustplane.reporting.risks import Risk, RiskKind
from trustplane.trust.entries import SetDifference
from trustplane_local.commands import tables
from trustplane_local.commands.terminal import Terminal
from trustplane_local.demo.story import Story
from trustplane_local.status import ClusterStatus, ContainerStatus, PartStatus, StackStatus

SOURCES = Path(cli.__file__).parents[1]
# From a registry's certificate: a window title, a cleared screen, a fake table, hidden text. Go's errors quote it.
ESCAPES = "\x1b]0;pwned\x07\x1b[2J\x1b[1;1Hall nodes Proven\x1b[8m"
SECRET = "s3cr3tV4lue"
X509 = (
    f'Failed to pull image "h.test/x:1": failed to do request: Head "https://h.test/v2/x/manifests/1": tls: failed to '
    f"verify certificate: x509: certificate is valid for {ESCAPES}, not h.test"
)
HOSTILE = [
    ESCAPES,
    "\x9b2J\x90q\x85",  # C1 controls: one byte each in Latin-1
    "\u202egnp.exe\u2066\u200b\u2060\ufeff\u00ad",  # reordered, and zero-width
    "lone \ud800 surrogate",
    "[link=https://evil.test]here[/link][bold]x[/][/]\\",  # rich markup
    "a\r\nb\x0b\x0c\u2028\u2029",
    "\x1b[31m" * 500,
]
NOW = datetime(2026, 11, 23, tzinfo=UTC)
Show = Callable[[str], None]


def _trust(text: str) -> ClusterTrust:
    conditions = [Condition(type=type_, status="False", reason=text, message=text) for type_ in ("Current", "Proven")]
    entry = TrustEntry(name=text, fingerprints=[text], hosts=[text])
    return ClusterTrust(
        metadata=Metadata(name=text, namespace=text),
        status=ClusterTrustStatus(
            desired=DesiredTrust(digest=text, entries=[entry], source=text),
            in_force=TrustInForce(digest=text, reason=text),
            difference=text,
            proven_nodes=text,
            conditions=conditions,
        ),
    )


def _node(text: str) -> NodeRow:
    result = ProofResult(registry=text, verdict=text, reason=text, message=text)
    verdict = registry_verdict(result, RegistryAccess(registry=text, reason=text))
    return NodeRow(
        machine=text, node=text, state=text, digest=text, method=text, changed_at=NOW, proven_at=NOW,
        inspected_at=NOW, message=text, results=((result, verdict),),
    )  # fmt: skip


def _status(text: str) -> None:
    trust, rows = _trust(text), [_node(text)]
    status._show_fleet([trust])
    status._show(trust, rows)
    output.echo_json([status._brief(trust), status._full(trust, rows)])


def _risk(text: str) -> None:
    risks = [Risk(RiskKind.EXPIRES, text, text, text, text)]
    sources = [(text, ImageSource(host=text, image=text, trust=text, message=text))]
    status_risk._show(risks, sources)
    output.echo_json(status_risk._as_json(risks, sources))


def _prove(text: str) -> None:
    row = Row(cluster=Key(text, text), node=text, registry=text, verdict=text, message=text)
    prove._progress(row)
    prove._show([row], "table")
    prove._show([row], "json")


def _diagnose(text: str) -> None:
    cause = Cause(Code.UNKNOWN, Confidence.LOW, text, text)
    case = Case(
        now=NOW,
        image=text,
        registry=text,
        cluster=text,
        reports=(CollectorReport(text, text), CollectorReport(text, text, is_available=False)),
    )
    answers = [diagnose_report.CaseDiagnosis(case, Diagnosis((cause, cause), explained(text)), (text,), (text,))]
    diagnose_report.show_diagnoses(console(), answers)
    output.echo_json(diagnose_report.as_json(answers))


def _explain(text: str) -> None:
    answers = [Answer(explained(text, [Evidence(text, text)]), (text,))]
    explain_report.show_explanations(console(), answers)
    output.echo_json(explain_report.as_json(answers))


def _finding(text: str) -> Finding:
    return Finding(code=text, what=text, why=text, next_step=text, where=text)


def _check(text: str) -> None:
    report = CheckReport((LocatedFinding("list.yaml", 1, _finding(text)),), (), undecided=(text,))
    check_tables.show_report(console(), report)
    for kind in ("json", "sarif"):
        check._show(report, kind, "list.yaml", to_stderr=True)


def _plan(text: str) -> None:
    effect = Effect(
        key=Key(text, text), effect=text, reason=text, how=text, change=SetDifference(text=text), message=text
    )
    shown = ManifestPlan((PlannedObject(text, text, (_finding(text),)),), (effect,))
    plan._show(shown)
    output.echo_json(shown.as_json())


def _update(text: str) -> None:
    progress = UpdateProgress(key=Key(text, text), state=text, message=text)
    output.echo(progress.line, err=True)
    console().print(update._table([progress]))
    output.echo_json(update._json([progress]))


def _local(text: str) -> None:
    part, container = PartStatus(name=text, message=text), ContainerStatus(name=text, state=text, role=text)
    cluster = ClusterStatus(namespace=text, name=text, phase=text, available=True)
    shown = StackStatus(id=text, folder=text, subnet=text, kubernetes_version=text, versions=text, parts=[part],
                   containers=[container], clusters=[cluster])  # fmt: skip
    tables.show_stack(console(), shown)
    terminal = Terminal(console())
    with terminal.step(text):
        terminal.build(text, 0, 2)
        terminal.note(text)


def _story(text: str) -> None:
    story = Story(console())
    with story.act(text):
        story.say(text)
        story.shell(text, text)
        story.check(text, holds=True)
        story.wait_until(text, lambda: (True, text), seconds=1)
    story.console.print(story.table())


def _error(text: str) -> None:
    cli.show_error(NodeError(text, why=text, next_step=text))


def _traceback(text: str) -> None:
    output._excepthook(ValueError, ValueError(text), None)


def _log(text: str) -> None:
    service.log_to_stderr()
    error = ValueError(text)
    nested = {text: [text, {1: text}]}
    structlog.get_logger().error(text, text=text, key=Key(text, text), nested=nested, exc_info=error)
    logging.getLogger("library").error(text, exc_info=error)


def _log_of_a_terminal(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        _log(text)


def _usage(text: str) -> None:
    with contextlib.suppress(SystemExit):
        cli.main(["prove", f"--timeout={text}", "x"])
    with contextlib.suppress(SystemExit):
        cli.main([f"--{text}"])
    with contextlib.suppress(SystemExit):
        cli.main([f"x{text}"])


VIEWS: list[Show] = [
    _status, _risk, _prove, _diagnose, _explain, _check, _plan, _update, _local, _story, _error, _traceback, _log,
    _log_of_a_terminal, _usage,
]  # fmt: skip


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    hook = sys.excepthook
    yield
    sys.excepthook = hook
    structlog.reset_defaults()
    logging.basicConfig(level=logging.WARNING, handlers=[], force=True)


def shown_by(show: Show, text: str, encoding: str = "utf-8") -> str:
    """Return the output of a view to both streams, with strict encoding."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n", write_through=True)
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        output.guard_streams()
        show(text)
        stream.flush()
    return stream.buffer.getvalue().decode(encoding, "replace")  # type: ignore[attr-defined]


def assert_harmless(shown: str, *, coloured: bool = False) -> None:
    if coloured:
        shown = re.sub(r"\x1b\[[0-9;]*m", "", shown)
        shown = re.sub(r"\x1b\[\?25[hl]|\x1b\[[12]?[AK]|\r", "", shown)  # rich's live line
    controls = {character for character in shown if not character.isprintable() and character not in "\n\t"}
    assert not controls


@pytest.mark.parametrize("text", [X509, *HOSTILE])
@pytest.mark.parametrize("show", VIEWS)
def test_no_view_lets_text_control_the_terminal(show: Show, text: str) -> None:
    shown = shown_by(show, text)
    assert shown
    assert_harmless(shown, coloured=show is _log_of_a_terminal)


@pytest.mark.parametrize("show", VIEWS)
@settings(max_examples=30)
@given(text=st.text(st.characters(exclude_categories=())))
@example(text="[")
def test_any_text_in_any_field_is_harmless_and_hides_credentials(show: Show, text: str) -> None:
    shown = shown_by(show, f"{text} password={SECRET}")
    assert_harmless(shown, coloured=show is _log_of_a_terminal)
    assert SECRET not in shown


@pytest.mark.parametrize("show", [_status, _check, _explain, _diagnose, _plan, _local, _story])
def test_own_styles_are_kept_with_colours(show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[" in shown_by(show, "fine")
    for text in HOSTILE:
        assert_harmless(shown_by(show, text), coloured=True)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("show", VIEWS)
def test_unencodable_text_ends_no_command(show: Show, encoding: str) -> None:
    assert_harmless(shown_by(show, "✓ … \ud800 \u202e ö 漢", encoding), coloured=show is _log_of_a_terminal)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_program_reports_causes_on_any_encoding(encoding: str) -> None:
    message = X509.replace("certificate is valid for", "certificate is valid for ✓\u202e")
    done = subprocess.run(
        [sys.executable, "-m", "trustplane", "explain", "-"],
        input=message.encode(),
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(SOURCES.parent)},
        capture_output=True,
        check=False,
    )
    assert b"wrong-host-name" in done.stdout or b"name" in done.stdout, done.stderr
    assert done.returncode in (0, 1)
    assert_harmless((done.stdout + done.stderr).decode(encoding))


@pytest.mark.parametrize("show", [_status, _prove, _explain, _diagnose, _check, _plan, _update, _local, _error])
def test_long_text_is_shortened(show: Show) -> None:
    shown = shown_by(show, "x" * 1_000_000)
    assert "…" in shown
    assert "x" * (output.MAX_LENGTH + 1) not in shown


def test_markup_in_a_message_is_shown_verbatim() -> None:
    assert "[red]x[/] \\[bold]" in shown_by(_error, "[red]x[/] \\[bold]")
    assert "[red]x[/] \\[bold]" in shown_by(_status, "[red]x[/] \\[bold]")


def test_a_message_of_several_lines_keeps_them() -> None:
    assert shown_by(cli.show_error, NodeError("no", why="a\nb")) == "Error: no\n  Why:  a\n        b\n"  # type: ignore[arg-type]


def test_base64_that_looks_like_a_token_is_not_redacted() -> None:
    data = "LS0t/eyJhbGciOiJSUzI1NiJ9"
    assert json.loads(shown_by(lambda text: output.echo_json({"data": text}), data)) == {"data": data}
    assert shown_by(output.echo_data, data) == f"{data}\n"


def test_a_long_traceback_keeps_its_end() -> None:
    error = ValueError("first\n" * 1000 + "the end")
    assert shown_by(lambda _: output._excepthook(ValueError, error, None), "").endswith("the end\n")


def test_log_lines_cannot_be_forged(capsys: pytest.CaptureFixture[str]) -> None:
    service.log_to_stderr()
    structlog.get_logger().info("a\nb", text="c\nd")
    logging.getLogger("library").warning("e\nERROR root: f")
    assert len(capsys.readouterr().err.splitlines()) == 2


KEYS = Keyring().usual
ROOT = drafts.ca(ESCAPES, KEYS[0])
SERVER = drafts.server(KEYS[1], ROOT, dns(ESCAPES))


@pytest.mark.parametrize("options", [[], ["-o", "json"]])
def test_a_registry_with_escapes_in_its_names(tmp_path: Path, options: list[str]) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(pem(ROOT.der))
    with serving([SERVER.der, ROOT.der], SERVER.key, {}) as port:
        fetched = _run(fetch_ca.command, f"localhost:{port}", *options)
        checked = _run(check.command, "--registry", f"localhost:{port}", *options, str(file))
    assert "pwned" in fetched
    assert "pwned" in checked


@pytest.mark.parametrize("options", [[], ["-o", "json"]])
def test_a_message_with_escapes_is_explained(options: list[str]) -> None:
    assert "all nodes Proven" in _run(explain.command, X509, *options)


def _run(command: click.Command, *arguments: str) -> str:
    shown = CliRunner().invoke(command, arguments)
    assert isinstance(shown.exception, SystemExit | None), shown.exception
    assert_harmless(shown.output)
    return shown.output


def test_rich_alone_is_not_enough() -> None:
    stream: Any = io.StringIO()
    RichConsole(file=stream).print(ESCAPES, markup=False)
    assert "\x1b]0;" in stream.getvalue()
