"""Check the coverage of each package against its floor: lines and branches together, in per cent.

    python tools/coverage_floors.py coverage.json

A floor is a little below the measured value. Raise it when a package's value has risen; never lower it to pass.
"""

import json
import sys
from collections import Counter
from pathlib import Path

# Most are lower bounds from a run of half of the unit tests: raise them to the values of a whole run.
# The packages of I/O (kube, fleet, ...) are covered by the other suites.
FLOORS: dict[str, int] = {
    ".": 86,
    "api": 96,
    "certificates": 60,
    "cli": 35,
    "clusterapi": 95,
    "controllers": 73,
    "diagnosis": 95,
    "fleet": 60,
    "kube": 87,
    "nodes": 54,
    "proof": 65,
    "registry": 71,
    "reporting": 80,
    "rollout": 80,
    "trust": 81,
    "webhooks": 40,
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
