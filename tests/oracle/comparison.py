"""Comparison of Trustplane's verdicts with Go's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from oracle.defects import DEFECTS
from oracle.go import Answer, ask
from oracle.keyring import Keyring
from oracle.scenes import Case, generate
from trustplane.certificates.verification import Pool, Verdict, verify

BATCH = 500  # cases in memory at a time


@dataclass(frozen=True)
class Disagreement:
    """A case for which our verdict or its message differs from Go's."""

    seed: int
    case: Case
    go: Answer
    verdict: Verdict

    def __str__(self) -> str:
        trustplane = (
            self.verdict.trusted,
            self.verdict.message,
            [certificate.fingerprint[:8] for certificate in self.verdict.chain],
        )
        go = (self.go.trusted, self.go.message, [[digest[:8] for digest in chain] for chain in self.go.chains])
        return f"seed {self.seed} {self.case.defects}\n  Go:   {go}\n  Trustplane: {trustplane}"


def compare(program: Path, seeds: Sequence[int], keys: Keyring) -> Iterator[Disagreement]:
    """Generate the cases for the seeds, and yield the disagreements."""
    for start in range(0, len(seeds), BATCH):
        batch = seeds[start : start + BATCH]
        cases = [generate(seed, keys, DEFECTS) for seed in batch]
        for seed, case, go in zip(batch, cases, ask(program, cases), strict=True):
            verdict = verify(case.served, Pool.read(case.trust), case.host, case.at)
            if not agree(go, verdict):
                yield Disagreement(seed, case, go, verdict)


def agree(go: Answer, verdict: Verdict) -> bool:
    """Return whether verdict, message, first chain and all anchors are equal."""
    if (go.trusted, go.message) != (verdict.trusted, verdict.message):
        return False
    if not go.trusted:
        return True
    anchors = tuple(dict.fromkeys(chain[-1] for chain in go.chains))
    return go.chains[0] == [certificate.fingerprint for certificate in verdict.chain] and anchors == verdict.anchors
