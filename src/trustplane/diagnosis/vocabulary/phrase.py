"""One thing that a program says, and the causes that fit."""

import re
from dataclasses import dataclass

from trustplane.diagnosis.cause import Code, Confidence
from trustplane.diagnosis.layer import Kind
from trustplane.diagnosis.template import compiled


@dataclass(frozen=True)
class Phrase:
    """Words, and the causes that fit them.

    Attributes:
        words: Template of how the words begin.
        codes: What fits, most likely first.
        reason: Why these.
        confidence: That it is the first, where it is the only one.
    """

    words: str
    codes: tuple[Code, ...]
    reason: str
    confidence: Confidence = Confidence.HIGH

    def match(self, text: str, start: int) -> re.Match[str] | None:
        """Match the words at a place of a text."""
        return compiled(self.words).match(text, start)


@dataclass(frozen=True)
class Vocabulary:
    """The phrases of one kind of speaker, the more specific ones first."""

    kind: Kind
    phrases: tuple[Phrase, ...]


@dataclass(frozen=True)
class Statement:
    """What the innermost layer said, understood.

    Attributes:
        kind: Who said it.
        words: Up to the end of the message.
        codes: What fits, most likely first.
        reason: Why these.
        confidence: That it is the first, where it is the only one.
    """

    kind: Kind
    words: str
    codes: tuple[Code, ...]
    reason: str
    confidence: Confidence = Confidence.HIGH
