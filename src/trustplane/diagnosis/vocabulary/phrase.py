"""A phrase from a program's messages, and the causes that fit it."""

import re
from dataclasses import dataclass

from trustplane.diagnosis.cause import Actor, Code, Confidence
from trustplane.diagnosis.layer import Kind
from trustplane.diagnosis.template import compile_template


@dataclass(frozen=True)
class Phrase:
    """A phrase, and the causes that fit it.

    Attributes:
        template: Template for the beginning of the phrase.
        codes: The causes that fit, most likely first.
        reason: Why these causes fit; output prints it after "since".
        confidence: How certain the cause is, if only one fits.
    """

    template: str
    codes: tuple[Code, ...]
    reason: str
    confidence: Confidence = Confidence.HIGH

    def match(self, text: str, start: int) -> re.Match[str] | None:
        """Match the phrase at a position in a text."""
        return compile_template(self.template).match(text, start)


@dataclass(frozen=True)
class Vocabulary:
    """The phrases of one kind of layer, more specific ones first."""

    kind: Kind
    phrases: tuple[Phrase, ...]


@dataclass(frozen=True)
class Statement:
    """The statement of a message's innermost layer, and the causes that fit it.

    Attributes:
        kind: The layer.
        text: The statement, up to the end of the message.
        codes: The causes that fit, most likely first.
        reason: Why these causes fit; output prints it after "since".
        confidence: How certain the cause is, if only one fits.
        actor: Who can fix the first cause, if it is not the cause's usual actor.
        step: Template of the first cause's next step, if it is not the cause's usual one.
    """

    kind: Kind
    text: str
    codes: tuple[Code, ...]
    reason: str
    confidence: Confidence = Confidence.HIGH
    actor: Actor | None = None
    step: str = ""
