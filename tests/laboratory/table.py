"""The table of scenarios, and what is made of each: by all the evidence, and by the text alone."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from laboratory import certificates, refusals
from laboratory.material import Scenario
from trustplane.diagnosis.cause import Cause, Confidence
from trustplane.diagnosis.decision import diagnose
from trustplane.diagnosis.explanation import explain


@dataclass(frozen=True)
class Outcome:
    """What was answered to a scenario.

    Attributes:
        name: Of the scenario.
        truth: Code of its cause.
        answer: Code and confidence of each cause that was named, in their order.
    """

    name: str
    truth: str
    answer: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, scenario: Scenario, causes: Iterable[Cause]) -> Self:
        """Return what these causes are for a scenario."""
        return cls(scenario.name, scenario.truth, tuple((str(one.code), str(one.confidence)) for one in causes))

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(code for code, _ in self.answer)

    @property
    def exact(self) -> bool:
        """The truth, alone."""
        return self.codes == (self.truth,)

    @property
    def first(self) -> bool:
        """The truth, alone or before others."""
        return self.codes[:1] == (self.truth,)

    @property
    def fits(self) -> bool:
        return self.truth in self.codes

    @property
    def wrong_for_certain(self) -> bool:
        certain = any(confidence == Confidence.HIGH for _, confidence in self.answer)
        return certain and not self.exact


def scenarios() -> list[Scenario]:
    return [*certificates.scenarios(), *refusals.scenarios()]


def by_evidence(scenario: Scenario) -> Outcome:
    return Outcome.of(scenario, diagnose(scenario.case).causes)


def by_text(scenario: Scenario) -> Outcome:
    return Outcome.of(scenario, explain(scenario.case.messages[0]).causes)


def grouped(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Return outcomes by their truth."""
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for one in outcomes:
        groups[one.truth].append(one)
    return dict(sorted(groups.items()))
