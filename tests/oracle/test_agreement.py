"""Verdicts on several hundred new random chains, compared with Go's word for word."""

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


@pytest.mark.timeout(600)  # without a build cache, Go compiles its standard library first
def test_verdicts_on_new_chains_are_those_of_go(program: Path) -> None:
    start = random.SystemRandom().randrange(1 << 40)
    print(f"\n{CASES} chains from seed {start}: make fuzz-verify N={CASES} SEED={start}")  # noqa: T201 - to repeat the run
    disagreements = list(compare(program, range(start, start + CASES), Keyring()))
    assert not disagreements, "\n".join(map(str, disagreements))


@pytest.mark.timeout(600)
def test_verdicts_on_fixed_seeds_are_those_of_go(program: Path) -> None:
    assert not list(compare(program, range(600), Keyring()))
