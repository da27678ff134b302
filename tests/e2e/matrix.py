"""`make matrix`: for each set of versions, build it, start a stack of it, run test_versions.py, and remove the stack.

Prints the seconds of each step, and ends with status 1 where one failed.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

import click
from rich.table import Table

from trustplane.cli.console import console
from trustplane_local import versions
from trustplane_local.versions import VERSION_SETS, Versions

TESTS = Path(__file__).with_name("test_versions.py")
UP, DOWN = "up", "down"


@dataclass
class Run:
    """How one set did: seconds by step, in their order; steps that failed."""

    versions: Versions
    seconds: dict[str, float] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    def add(self, step: str, seconds: float, *, good: bool) -> bool:
        self.seconds[step] = seconds
        self.failed |= set() if good else {step}
        return good

    def local(self, command: str, *arguments: str) -> bool:
        """Run `trustplane local COMMAND ...` on this terminal; tell whether it succeeded."""
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-m", "trustplane", "local", command, *arguments], check=False)
        return self.add(command, time.monotonic() - began, good=done.returncode == 0)

    def test(self, folder: Path, report: Path) -> None:
        """Run the tests on the stack in that folder."""
        command = [sys.executable, "-m", "pytest", "-q", str(TESTS), f"--junitxml={report}"]
        subprocess.run(command, env={**os.environ, "TRUSTPLANE_TEST_STACK": str(folder)}, check=False)
        for name, seconds, good in results(report.read_text() if report.exists() else ""):
            self.add(name, seconds, good=good)
        if not self.seconds.keys() - {"build", UP}:
            self.add("tests", 0, good=False)


def results(report: str) -> Iterator[tuple[str, float, bool]]:
    """Yield name, seconds and success of each test of a JUnit report, in the order of the run."""
    for case in ET.fromstring(report).iter("testcase") if report else ():  # noqa: S314 - pytest has just written it
        name = case.get("name", "").removeprefix("test_").replace("_", " ")
        yield name, float(case.get("time", "0")), case.find("failure") is None and case.find("error") is None


def run(wanted: Versions) -> Run:
    """Do all steps for one set; whatever happens, its stack is gone afterwards."""
    done = Run(wanted)
    console().print(f"== {wanted.name}: Kubernetes {wanted.kubernetes}, Cluster API {wanted.cluster_api}")
    if not done.local("build", f"--versions={wanted.name}"):
        return done
    with tempfile.TemporaryDirectory(prefix="tp-") as scratch:
        folder = Path(scratch) / "first"
        try:
            if done.local(UP, f"--state={folder}", f"--versions={wanted.name}"):
                done.test(folder, Path(scratch) / "report.xml")
        finally:
            done.local(DOWN, f"--state={folder}")
    return done


def table(runs: list[Run]) -> Table:
    """Return all steps of all sets: seconds, or FAILED."""
    made = Table("")
    for one in runs:
        made.add_column(one.versions.name, justify="right")
    for title, field_ in (("Kubernetes", "kubernetes"), ("Cluster API", "cluster_api")):
        made.add_row(title, *(str(getattr(one.versions, field_)) for one in runs))
    made.add_section()
    for step in dict.fromkeys(step for one in runs for step in one.seconds):
        cells = ["FAILED" if step in one.failed else _seconds(one.seconds.get(step)) for one in runs]
        made.add_row(step, *cells)
    return made


def _seconds(found: float | None) -> str:
    return "not run" if found is None else f"{found:.0f} s"


@click.command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Choice(list(VERSION_SETS)))
def main(names: tuple[str, ...]) -> None:
    """Run the sets of these names, or all."""
    runs = [run(versions.choose_versions(name)) for name in names or VERSION_SETS]
    console().print(table(runs))
    sys.exit(1 if any(one.failed for one in runs) else 0)


if __name__ == "__main__":
    main()
