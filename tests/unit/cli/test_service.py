import asyncio
import json
import os
import signal

import pytest
import structlog

from trustplane.cli import service


@pytest.fixture(autouse=True)
def _restored() -> object:
    yield
    structlog.reset_defaults()


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_the_log_is_json_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    service.log_to_stderr()
    structlog.get_logger().info("leading", lease="x")
    structlog.get_logger().debug("request")
    (line,) = _lines(capsys)
    assert (line["event"], line["level"], line["lease"]) == ("leading", "info", "x")
    assert str(line["timestamp"]).endswith("Z")


@pytest.mark.parametrize(
    ("options", "events"),
    [({"verbose": True}, ["d", "e"]), ({"quiet": True}, ["e"]), ({"quiet": True, "verbose": True}, ["d", "e"])],
)
def test_levels(capsys: pytest.CaptureFixture[str], options: dict[str, bool], events: list[str]) -> None:
    service.log_to_stderr(**options)
    structlog.get_logger().debug("d")
    structlog.get_logger().error("e")
    assert [line["event"] for line in _lines(capsys)] == events


def test_a_traceback_shows_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    service.log_to_stderr()
    password = b"hunter2".decode()
    try:
        {}[len(password)]
    except KeyError:
        structlog.get_logger().exception("failed")
    output = capsys.readouterr().err
    assert "test_service.py" in output
    assert "hunter2" not in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_service_cleanly(number: signal.Signals) -> None:
    events = []

    async def main(stop: asyncio.Event) -> None:
        os.kill(os.getpid(), number)
        await stop.wait()
        events.append("stopped")

    service.run(main)
    assert events == ["stopped"]
