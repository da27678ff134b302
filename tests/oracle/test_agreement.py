"""A few hundred fresh random chains: our verdicts are Go's, word for word."""

import random
from pathlib import Path

import pytest

from oracle.comparison import compare
from oracle.go import build
from oracle.keyring import Keyring

CASES = 400


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("oracle"))


@pytest.mark.timeout(600)  # a machine without a cache compiles Go's standard library first
def test_fresh_chains_are_decided_as_go_decides(program: Path) -> None:
    start = random.SystemRandom().randrange(1 << 40)
    print(f"\n{CASES} chains from seed {start}: make fuzz-verify N={CASES} SEED={start}")  # noqa: T201 - to repeat the run
    disagreements = list(compare(program, range(start, start + CASES), Keyring()))
    assert not disagreements, "\n".join(map(str, disagreements))


@pytest.mark.timeout(600)
def test_known_seeds_cover_every_kind_of_outcome(program: Path) -> None:
    assert not list(compare(program, range(600), Keyring()))
