"""`make bench-certificates`: the cost of `trustplane check`, and chains per second, beside other programs."""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from oracle import drafts
from oracle.drafts import Draft
from oracle.encoding import dns
from oracle.go import ask, build
from oracle.keyring import Key, Keyring
from oracle.pem import data, pem
from oracle.scenes import AT, Case

from gox509 import Pool, verify
from trustplane.cli import options
from trustplane.cli.console import console, progress
from trustplane.errors import TrustplaneError

HOST = "registry.example"
PER_CLUSTER = 100
RUNS = 3  # the fastest one counts: other processes can only slow a run down
# A small separate process starts the measured one: Linux reports at least the parent's peak.
LAUNCHER = """
import json, os, sys, time
start = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ,
                     file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
_, status, usage = os.wait4(pid, 0)
cpu = usage.ru_utime + usage.ru_stime
print(json.dumps([time.perf_counter() - start, cpu, usage.ru_maxrss, os.waitstatus_to_exitcode(status)]))
"""


@dataclass(frozen=True)
class Check:
    """One run of `trustplane check`, measured as a whole process."""

    certificates: int
    seconds: float
    cpu_seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Verifications:
    """The chains verified by one program."""

    program: str
    includes: str
    chains: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.chains / self.seconds


@dataclass(frozen=True)
class Chains:
    """Servers below one intermediate and one root."""

    root: bytes
    issuing: bytes
    servers: list[bytes]

    @classmethod
    def make(cls, count: int) -> "Chains":
        keys = Keyring().usual
        root = drafts.ca("Root", keys[0])
        issuing = drafts.ca("Issuing", keys[1], root)
        return cls(root.der, issuing.der, [server(number, keys[2], issuing) for number in range(count)])


def server(number: int, key: Key, issuer: Draft) -> bytes:
    draft = drafts.server(key, issuer, dns(HOST))
    draft.serial = number + 1
    return draft.der


def check(folder: Path, count: int) -> Check:
    """Check a List of clusters with this number of different certificates in total."""
    key = Keyring().usual[0]
    entries = [(f"ca-{number}", data(drafts.ca(f"Root {number}", key).der)) for number in range(count)]
    clusters = [cluster(at, entries[at : at + PER_CLUSTER]) for at in range(0, count, PER_CLUSTER)]
    file = folder / "clusters.yaml"
    file.write_text("---\n".join(clusters))
    command = [sys.executable, "-S", "-E", "-c", LAUNCHER, sys.executable, "-m", "trustplane", "check", str(file)]
    runs = [_run(command) for _ in range(RUNS)]
    seconds, cpu, kib = min(runs)
    return Check(count, seconds, cpu, kib / 1024)


def _run(command: Sequence[str]) -> tuple[float, float, int]:
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, cpu, kib, status = json.loads(process.stdout)
    if status:
        raise SystemExit(f"trustplane check ended with {status}: {process.stderr}")
    return seconds, cpu, kib


def cluster(number: int, entries: Sequence[tuple[str, str]]) -> str:
    lines = "".join(f"        - name: {name}\n          data: {value}\n" for name, value in entries)
    return (
        "apiVersion: run.tanzu.vmware.com/v1alpha3\nkind: TanzuKubernetesCluster\n"
        f"metadata:\n  name: cluster-{number}\nspec:\n  settings:\n    network:\n      trust:\n"
        f"        additionalTrustedCAs:\n{lines}"
    )


def timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def ours(chains: Chains) -> Verifications:
    def run() -> None:
        pool = Pool.read([chains.root])
        if not all(verify([one, chains.issuing], pool, HOST, AT).trusted for one in chains.servers):
            raise SystemExit("verify refused a good chain")

    words = "reading the chain; no process start"
    return Verifications("trustplane verify()", words, len(chains.servers), timed(run))


def openssl(folder: Path, chains: Chains, *, one_by_one: int = 0) -> Verifications:
    """Time `openssl verify`: one process for all chains, or one for each of some chains."""
    command = ["openssl", "verify", "-CAfile", write(folder, "root.pem", chains.root), "-untrusted",
               write(folder, "issuing.pem", chains.issuing), "-verify_hostname", HOST,
               "-attime", str(int(AT.timestamp()))]  # fmt: skip
    files = [write(folder, f"server-{number}.pem", one) for number, one in enumerate(chains.servers)]
    batches = [[file] for file in files[:one_by_one]] or [files]

    def run() -> None:
        for batch in batches:
            subprocess.run([*command, *batch], stdout=subprocess.DEVNULL, check=True)

    words = "reading the chain; " + ("a process for each" if one_by_one else "one process for all")
    return Verifications("openssl verify", words, sum(map(len, batches)), timed(run))


def write(folder: Path, name: str, der: bytes) -> str:
    path = folder / name
    path.write_text(pem(der))
    return str(path)


def go(folder: Path, chains: Chains) -> Verifications | None:
    """Time the oracle; None without Go to build it."""
    try:
        program = build(folder)
    except TrustplaneError:
        return None
    cases = [Case((one, chains.issuing), (chains.root,), HOST, AT, ()) for one in chains.servers]

    def run() -> None:
        if not all(answer.trusted for answer in ask(program, cases)):
            raise SystemExit("Go refused a good chain")

    words = "reading chain and root from JSON; one process for all"
    return Verifications("Go crypto/x509", words, len(cases), timed(run))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--certificates", type=int, default=1000, help="in the lists that are checked")
    parser.add_argument("--chains", type=int, default=2000, help="to verify")
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    given = parser.parse_args()
    with progress("Measuring"), tempfile.TemporaryDirectory() as name:
        checked, rows = measure(Path(name), given.certificates, given.chains)
    if given.output == "json":
        verified = [{**asdict(row), "per_second": row.per_second} for row in rows]
        print(json.dumps({"check": asdict(checked), "verify": verified}, indent=2))  # noqa: T201
    else:
        show(checked, rows)


def measure(folder: Path, certificates: int, count: int) -> tuple[Check, list[Verifications]]:
    checked, chains = check(folder, certificates), Chains.make(count)
    rows = [ours(chains)]
    if shutil.which("openssl"):
        rows += [openssl(folder, chains), openssl(folder, chains, one_by_one=min(50, count))]
    return checked, rows + [row for row in [go(folder, chains)] if row]


def show(checked: Check, rows: Sequence[Verifications]) -> None:
    out = console()
    out.print(
        f"trustplane check, {checked.certificates} certificates: {checked.seconds:.2f} s, {checked.cpu_seconds:.2f} s "
        f"of CPU, {checked.peak_mib:.0f} MiB at its peak. Aim: under 2 s and 200 MB.\n"
        f"A process from start to end; the fastest of {RUNS}.\n"
    )
    table = options.table("PROGRAM", "CHAINS/S", "CHAINS", "WHAT IS IN THE TIME")
    for row in rows:
        table.add_row(row.program, f"{row.per_second:.0f}", str(row.chains), row.includes)
    out.print(table)
    out.print("\nA chain: server, intermediate and root, ECDSA P-256, one host name, on one core.")


if __name__ == "__main__":
    main()
