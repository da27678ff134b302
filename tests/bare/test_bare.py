"""A new user's machine: only Debian, git, make and Python, and no cache."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from bare import machine as machines
from bare import needs
from bare.machine import PLAIN, Machine, Run

pytestmark = pytest.mark.timeout(1500)
# HOME is unset; the locale is C in any case.
NAMELESS = {name: value for name, value in PLAIN.items() if name != "HOME"}
WITHOUT_APT = (
    "mkdir /tmp/bin && ln -s /usr/bin/* /tmp/bin && rm /tmp/bin/apt-get /tmp/bin/dpkg-query && PATH=/tmp/bin make setup"
)
WITHOUT_SOURCES = (
    "mv /etc/apt /etc/apt.off && mkdir /etc/apt; make setup; rmdir /etc/apt; mv /etc/apt.off /etc/apt; false"
)
AS_NOBODY = "cp -r . /tmp/theirs && chown -R nobody /tmp/theirs && cd /tmp/theirs && setpriv --reuid=nobody make setup"


@dataclass(frozen=True)
class SetUp:
    """A machine after `make setup`."""

    suite: str
    machine: Machine
    promised: set[str]  # packages installed before
    printed: str
    refusals: dict[str, Run]  # failed set-ups before, by script

    def facts(self) -> needs.Machine:
        """Return the packages of the machine."""
        return needs.Machine(machines.owners(self.machine.root, list(NEEDS)), self.promised)


NEEDS = needs.needed(needs.ROOT)
PACKAGES = needs.listed((needs.ROOT / "Makefile").read_text())


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def there(request: pytest.FixtureRequest) -> Iterator[SetUp]:
    with machines.made(request.param, needs.ROOT) as machine:
        promised = machines.packages(machine.root)
        refusals = {script: machine.run(script) for script in (WITHOUT_APT, WITHOUT_SOURCES, AS_NOBODY)}
        process = machine.run("make setup", environment=NAMELESS)
        assert process.returncode == 0, process.stdout[-5000:]
        yield SetUp(request.param, machine, promised, process.stdout, refusals)


def test_setup_prints_what_it_installs(there: SetUp) -> None:
    assert f"==> Debian packages: {' '.join(sorted(PACKAGES))}\n" in there.printed
    assert "==> Python environment" in there.printed


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (WITHOUT_APT, ("there is no apt-get: ca-certificates", "Run it on Debian 12 or 13")),
        (WITHOUT_SOURCES, ("Unable to locate package", "apt-get could not install", "check the network and /etc/apt")),
        (AS_NOBODY, ("only root can install them", "Run it as root")),
    ],
)
def test_setup_prints_why_it_fails(there: SetUp, script: str, words: tuple[str, ...]) -> None:
    refused = there.refusals[script]
    assert refused.returncode != 0
    assert all(word in refused.stdout for word in words), refused.stdout


def test_setup_installs_every_started_program(there: SetUp) -> None:
    assert needs.missing(NEEDS, there.facts(), PACKAGES) == []


def test_every_installed_package_is_needed(there: SetUp) -> None:
    assert needs.unused(NEEDS, there.facts(), PACKAGES) == set()


def test_no_package_can_be_omitted(there: SetUp) -> None:
    facts = there.facts()
    missed = {package for package in PACKAGES if needs.missing(NEEDS, facts, PACKAGES - {package})}
    assert missed == PACKAGES


def test_go_comes_with_the_python_environment(there: SetUp) -> None:
    process = there.machine.run("! command -v go && .venv/bin/go version")
    assert (process.returncode, process.stdout.startswith("go version go1.")) == (0, True), process.stdout


@pytest.mark.parametrize("arguments", ["--help", "local up --help", "explain --help"])
def test_the_program_prints_its_usage(there: SetUp, arguments: str) -> None:
    process = there.machine.run(f".venv/bin/trustplane {arguments}", environment=NAMELESS)
    assert process.returncode == 0
    assert process.stdout.startswith("Usage: trustplane")


def test_unit_tests_pass(there: SetUp) -> None:
    # One machine draws as many random examples as usual; the other shows what its Python does differently.
    fewer = {"TRUSTPLANE_TEST_EXAMPLES": "20"} if there.suite == "trixie" else {}
    process = there.machine.run("make unit", environment={**PLAIN, **fewer}, seconds=1200)
    assert process.returncode == 0, process.stdout[-10000:]
