"""`make fuzz-verify`: compare verdicts on a number of random chains with Go's."""

# ruff: noqa: T201 - it prints
import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from oracle.comparison import compare
from oracle.go import build
from oracle.keyring import Keyring

STEP = 1000
SHOWN = 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="number of chains")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 40))
    options = parser.parse_args()
    print(f"{options.count} chains from seed {options.seed}", flush=True)
    keys, bad, start = Keyring(), 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        for first in range(options.seed, options.seed + options.count, STEP):
            seeds = range(first, min(first + STEP, options.seed + options.count))
            for disagreement in compare(program, seeds, keys):
                bad += 1
                if bad <= SHOWN:
                    print(disagreement, flush=True)
    print(f"{bad} disagreements in {options.count} chains, {time.monotonic() - start:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
