"""Check the coverage of each package against its floor: lines and branches together, in per cent.

    python tools/coverage_floors.py coverage.json

A floor is a little below the measured value. Raise it when a package's value has risen; never lower it to pass.
"""

import json
import sys
from collections import Counter
from pathlib import Path

# The tests on a real API server and on nodes also cover the packages of I/O (controllers, fleet, kube, cli).
FLOORS: dict[str, int] = {
    ".": 96,
    "api": 98,
    "certificates": 97,
    "cli": 81,
    "clusterapi": 97,
    "controllers": 73,
    "diagnosis": 95,
    "fleet": 73,
    "kube": 89,
    "nodes": 95,
    "proof": 98,
    "registry": 91,
    "reporting": 94,
    "rollout": 98,
    "trust": 98,
    "webhooks": 95,
}


def package_of(file: str) -> str:
    """Return the package of a module below src/trustplane, `.` for modules of the root."""
    parts = Path(file).parts
    inner = parts[parts.index("trustplane") + 1 :]
    return inner[0] if len(inner) > 1 else "."


def percentages(report: dict[str, dict[str, dict[str, dict[str, int]]]]) -> dict[str, float]:
    """Return the per cent of lines and branches that ran, by package."""
    covered: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for file, content in report["files"].items():
        summary, package = content["summary"], package_of(file)
        covered[package] += summary["covered_lines"] + summary["covered_branches"]
        total[package] += summary["num_statements"] + summary["num_branches"]
    return {package: 100 * covered[package] / total[package] for package in total if total[package]}


def problems(measured: dict[str, float], floors: dict[str, int]) -> list[str]:
    """Return what is wrong: a package below its floor, without a floor, or a floor without a package."""
    below = [
        f"{package}: {value:.1f} % is below its floor of {floors[package]} %: add tests"
        for package, value in measured.items()
        if package in floors and value < floors[package]
    ]
    missing = [
        f"{package}: no floor; measured {measured[package]:.1f} %" for package in measured.keys() - floors.keys()
    ]
    unused = [f"{package}: a floor without a package" for package in floors.keys() - measured.keys()]
    return [*below, *sorted(missing), *sorted(unused)]


def main(file: str) -> int:
    """Print a line for each package; return 1 if one is below its floor."""
    measured = percentages(json.loads(Path(file).read_text()))
    for package, value in sorted(measured.items()):
        print(f"{package:<14} {value:5.1f} %  floor {FLOORS.get(package, '-')}")
    complaints = problems(measured, FLOORS)
    print(*complaints, sep="\n", file=sys.stderr)
    return int(bool(complaints))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
