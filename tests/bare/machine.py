"""A bare Debian machine: a root file system with what README asks for, and commands that run in it.

What is mounted in it, and what runs in it, is in namespaces that end with the tests, however those end. The folder is
removed by a process of its own, which waits for the same.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trustplane_local.toolchain.cache import default_cache, lock_file

WEEK = 7 * 24 * 3600  # seconds
BARE = ("git", "make", "python3")  # as README has it
CONFINED = ("setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
# Where /proc and /dev are needed: pip, uv and the tests read them. $0 is the root, $@ what runs there.
INSIDE = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"'
PLAIN = {"HOME": "/root", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
CHECKOUT = "/srv/trustplane"
# How this machine reaches its package registries: files, by the place that they get there, and variables.
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
FILES = {
    "/etc/resolv.conf": "/etc/resolv.conf",
    "/etc/pip.conf": "/etc/pip.conf",
    "/root/.config/pip/pip.conf": "~/.config/pip/pip.conf",
    "/etc/uv/uv.toml": "/etc/uv/uv.toml",
    "/root/.config/uv/uv.toml": "~/.config/uv/uv.toml",
    CERTIFICATES: CERTIFICATES,
    # Package ca-certificates writes that file anew, with what it finds here.
    "/usr/local/share/ca-certificates/this-machine.crt": CERTIFICATES,
}
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
PREFIXES = ("PIP_", "UV_")

Run = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Machine:
    """The bare machine."""

    root: Path

    def run(
        self, script: str, *, environment: Mapping[str, str] | None = None, seconds: int = 900, user: str = "root"
    ) -> Run:
        """Run a script in the checkout there, by bash; what it prints is in `stdout`."""
        variables = [f"{name}={value}" for name, value in {**(environment or PLAIN), **settings(os.environ)}.items()]
        become = ["setpriv", f"--reuid={user}", "--clear-groups"] if user != "root" else []
        command = ["env", "-i", *variables, *become, "bash", "-c", f"cd {CHECKOUT} && {script}"]
        return subprocess.run(
            [*CONFINED, "sh", "-c", INSIDE, self.root, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )


@contextlib.contextmanager
def made(suite: str, source: Path) -> Iterator[Machine]:
    """Have a machine of that Debian suite, with a clone of the checkout `source`, while the block runs."""
    assert os.geteuid() == 0, "A bare machine is made by root: run the tests as root"
    folder = Path(tempfile.mkdtemp(prefix="trustplane-bare-", dir="/var/tmp"))  # on a disk: it has 1.2 GB
    with _removed_in_the_end(folder):
        root = folder / "root"
        make(suite, root)
        clone(source, root)
        yield Machine(root)


@contextlib.contextmanager
def _removed_in_the_end(folder: Path) -> Iterator[None]:
    """Remove the folder when the block ends, or this process in any way: then the other's input ends."""
    script = 'cat >/dev/null; for _ in 1 2 3 4 5; do rm -rf --one-file-system "$0" && exit; sleep 1; done; exit 1'
    with subprocess.Popen(["sh", "-c", script, folder], stdin=subprocess.PIPE, start_new_session=True) as remover:
        yield
    assert remover.returncode == 0, f"{folder} could not be removed"


def make(suite: str, root: Path) -> None:
    """Make the root file system, and give it this machine's way to package registries."""
    root.mkdir()
    subprocess.run(
        ["tar", "--extract", "--numeric-owner", f"--file={_archive(suite)}", f"--directory={root}"], check=True
    )
    for target, source in FILES.items():
        file, place = Path(source).expanduser(), root / target[1:]
        if file.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)


def _archive(suite: str) -> Path:
    """Return the bare system as mmdebstrap makes it, of this week: machines are older than their package lists, too."""
    file = default_cache() / "bare" / f"{suite}.tar"
    with lock_file(file.with_suffix(".lock"), waiting=lambda: None):
        if not file.exists() or time.time() - file.stat().st_mtime > WEEK:
            draft = file.with_suffix(".new.tar")
            _bootstrap(suite, draft)
            draft.replace(file)
    return file


def _bootstrap(suite: str, archive: Path) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as apt:
        apt.write(subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=True).stdout)
        apt.flush()
        command = [*CONFINED, "mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(BARE)}"]
        command += [f"--aptopt={apt.name}", "--dpkgopt=force-unsafe-io", suite, str(archive)]
        if mirror := os.environ.get("TRUSTPLANE_DEBIAN_MIRROR"):
            command.append(mirror)
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, (
        f"No bare Debian machine ({suite}) can be made here. It needs root, the right to mount file systems, and a "
        f"Debian mirror (TRUSTPLANE_DEBIAN_MIRROR names another one).\n{done.stdout[-2000:]}"
    )


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that say how to reach package registries, but none that names a folder of this machine."""
    return {
        name: value
        for name, value in environment.items()
        if (name.upper() in VARIABLES or name.startswith(PREFIXES)) and not Path(value).is_dir()
    }


def clone(source: Path, root: Path) -> None:
    """Clone the checkout, and put in what is not committed in it."""
    target = root / CHECKOUT[1:]
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", source, target], check=True)
    for name in {
        *_git(source, "diff", "--name-only", "HEAD"),
        *_git(source, "ls-files", "--others", "--exclude-standard"),
    }:
        (target / name).unlink(missing_ok=True)
        if (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)


def _git(source: Path, *arguments: str) -> list[str]:
    listing = subprocess.run(["git", "-C", source, *arguments, "-z"], capture_output=True, text=True, check=True).stdout
    return listing.split("\0")[:-1]


def packages(root: Path) -> set[str]:
    """Return the names of the installed packages."""
    return set(_query(root, "${Package}"))


def required(root: Path) -> set[str]:
    """Return the names of the packages that no Debian machine is without."""
    lines = (line.split() for line in _query(root, "${Package} ${Priority} ${Essential}"))
    return {name for name, priority, essential in lines if priority == "required" or essential == "yes"}


def _query(root: Path, form: str) -> list[str]:
    command = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W", "-f", f"${{db:Status-Abbrev}} {form}\n"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line.partition(" ")[2].strip() for line in lines if line.startswith("ii")]


def owners(root: Path, programs: list[str]) -> dict[str, str]:
    """Return the package of each program that is there: found on PATH, and through links, as the machine does."""
    find = "import glob, json, os, shutil, sys; print(json.dumps({one: os.path.realpath(path) for one in sys.argv[1:]"
    find += " if (path := shutil.which(one) or next(iter(glob.glob(one)), ''))}))"
    command = ["chroot", root, "/usr/bin/env", "-i", f"PATH={PLAIN['PATH']}", "python3", "-c", find, *programs]
    paths = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    lists = (root / "var/lib/dpkg/info").glob("*.list")
    package_of = {
        _merged(path): file.stem.partition(":")[0] for file in lists for path in file.read_text().splitlines()
    }
    return {name: package_of[_merged(path)] for name, path in paths.items() if _merged(path) in package_of}


def _merged(path: str) -> str:
    return path.removeprefix("/usr")
