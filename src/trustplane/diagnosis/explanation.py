"""From a message to the causes that fit: one where the words decide, all that fit where they do not."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from trustplane.diagnosis.advice import next_step
from trustplane.diagnosis.cause import Cause, Code, Confidence
from trustplane.diagnosis.reading import Reading, read
from trustplane.diagnosis.refinement import refine

_NOTHING: Final = "no layer says anything that is known"


@dataclass(frozen=True)
class Evidence:
    """Something known besides the message, which rules causes out or speaks for them.

    Attributes:
        source: What was looked at.
        words: What was found.
        points_to: If any of these fits the message, nothing else does.
        rules_out: These do not fit.
    """

    source: str
    words: str
    points_to: frozenset[Code] = frozenset()
    rules_out: frozenset[Code] = frozenset()


@dataclass(frozen=True)
class Explanation:
    """Why a pull failed.

    Attributes:
        reading: What the message says, layer by layer.
        causes: All that fit, most likely first; `unknown` alone where nothing fits.
        evidence: What was known besides, and counted.
    """

    reading: Reading
    causes: tuple[Cause, ...]
    evidence: tuple[Evidence, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether anything fits."""
        return self.causes[0].code is not Code.UNKNOWN

    @property
    def codes(self) -> tuple[Code, ...]:
        """The codes of the causes, most likely first."""
        return tuple(cause.code for cause in self.causes)


def explain(message: str, evidence: Sequence[Evidence] = ()) -> Explanation:
    """Name the causes of a failed pull that fit a message, and what is known besides."""
    readings = read(message)
    reading = readings[0]
    tries = [said for said in map(refine, readings) if said is not None]
    if not tries:
        return Explanation(reading, (_cause(Code.UNKNOWN, Confidence.LOW, _NOTHING, reading),))
    said = tries[0]
    codes, used = weigh(tuple(dict.fromkeys(code for one in tries for code in one.codes)), evidence)
    reason = "; ".join((said.reason, *(one.words for one in used)))
    if len(codes) == 1:
        confidence = Confidence.HIGH if used else said.confidence
        return Explanation(reading, (_cause(codes[0], confidence, reason, reading),), used)
    # Which of several it is, the words do not tell: the order says what is met most often.
    ranks = (Confidence.MEDIUM, *(Confidence.LOW for _ in codes[1:]))
    causes = tuple(_cause(code, rank, reason, reading) for code, rank in zip(codes, ranks, strict=True))
    return Explanation(reading, causes, used)


def weigh(codes: Sequence[Code], evidence: Iterable[Evidence]) -> tuple[tuple[Code, ...], tuple[Evidence, ...]]:
    """Narrow causes by evidence; evidence that would leave none is not counted. Returns the causes and what counted."""
    left, used = tuple(codes), []
    for one in evidence:
        kept = tuple(code for code in left if code not in one.rules_out)
        kept = tuple(code for code in kept if code in one.points_to) or kept
        if kept and kept != left:
            left = kept
            used.append(one)
    return left, tuple(used)


def _cause(code: Code, confidence: Confidence, reason: str, reading: Reading) -> Cause:
    return Cause(code, confidence, reason, next_step(code, reading))
