"""Explain a message: one cause if the message decides, otherwise every cause that fits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from trustplane.diagnosis.advice import deciding_step, next_step
from trustplane.diagnosis.cause import Cause, Code, Confidence
from trustplane.diagnosis.message_parser import ParsedMessage, parse_message
from trustplane.diagnosis.refinement import refine
from trustplane.diagnosis.vocabulary.phrase import Statement

_NO_MATCH: Final = "no layer of the message matches a known phrase"


@dataclass(frozen=True)
class Evidence:
    """A fact from outside the message that rules causes out or points to them.

    Attributes:
        source: The source of the fact.
        text: The fact.
        points_to: Causes that exclude all others if any of them fits the message.
        rules_out: Causes that this fact excludes.
    """

    source: str
    text: str
    points_to: frozenset[Code] = frozenset()
    rules_out: frozenset[Code] = frozenset()


@dataclass(frozen=True)
class Explanation:
    """The causes of a failed pull that fit its message.

    Attributes:
        parsed: The message, layer by layer.
        causes: The causes that fit, most likely first; `unknown` alone if none fits.
        evidence: The evidence that narrowed the causes.
    """

    parsed: ParsedMessage
    causes: tuple[Cause, ...]
    evidence: tuple[Evidence, ...] = ()

    @property
    def is_known(self) -> bool:
        """Return whether any cause fits."""
        return self.causes[0].code is not Code.UNKNOWN

    @property
    def deciding_step(self) -> str:
        """Return the command that decides between the causes; "" for one cause, and if no single command does."""
        return deciding_step(self.codes, self.parsed) if len(self.causes) > 1 else ""

    @property
    def codes(self) -> tuple[Code, ...]:
        """Return the codes of the causes, most likely first."""
        return tuple(cause.code for cause in self.causes)


def explain(message: str, evidence: Sequence[Evidence] = (), image: str = "") -> Explanation:
    """Return the causes of a failed pull that fit both its message and the evidence.

    Args:
        message: The message.
        evidence: Facts from outside the message.
        image: The image that the surroundings of the message name, "" if they name none.
    """
    attempts = parse_message(message, image)
    parsed = attempts[0]
    statements = [statement for statement in map(refine, attempts) if statement is not None]
    if not statements:
        return Explanation(parsed, (_cause(Code.UNKNOWN, Confidence.LOW, _NO_MATCH, parsed),))
    first = statements[0]
    codes, used = weigh(tuple(dict.fromkeys(code for statement in statements for code in statement.codes)), evidence)
    reason = "; ".join((first.reason, *(fact.text for fact in used)))
    if len(codes) == 1:
        confidence = Confidence.HIGH if used else first.confidence
        return Explanation(parsed, (_cause(codes[0], confidence, reason, parsed, first),), used)
    # The message leaves several causes open: rank the most frequent one first.
    ranks = (Confidence.MEDIUM, *(Confidence.LOW for _ in codes[1:]))
    causes = tuple(_cause(code, rank, reason, parsed, first) for code, rank in zip(codes, ranks, strict=True))
    return Explanation(parsed, causes, used)


def weigh(codes: Sequence[Code], evidence: Iterable[Evidence]) -> tuple[tuple[Code, ...], tuple[Evidence, ...]]:
    """Narrow causes by evidence, ignoring evidence that would exclude all of them.

    Returns:
        The remaining causes, in their order, and the evidence that narrowed them.
    """
    remaining, used = tuple(codes), []
    for fact in evidence:
        kept = tuple(code for code in remaining if code not in fact.rules_out)
        kept = tuple(code for code in kept if code in fact.points_to) or kept
        if kept and kept != remaining:
            remaining = kept
            used.append(fact)
    return remaining, tuple(used)


def _cause(
    code: Code, confidence: Confidence, reason: str, parsed: ParsedMessage, statement: Statement | None = None
) -> Cause:
    if statement is None or code is not statement.codes[0]:
        return Cause(code, confidence, reason, next_step(code, parsed))
    return Cause(code, confidence, reason, next_step(code, parsed, statement.step), statement.actor)
