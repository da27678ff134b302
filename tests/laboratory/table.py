"""The table of scenarios, and what is made of each: by all the evidence, and by the text alone."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from laboratory import certificates, refusals
from laboratory.material import Scenario
from trustplane.diagnosis.cause import Cause, Confidence
from trustplane.diagnosis.explanation import explain
from trustplane.diagnosis.verdict import diagnose


@dataclass(frozen=True)
class Outcome:
    """What was answered to a scenario."""

    scenario: Scenario
    causes: tuple[Cause, ...]

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(str(one.code) for one in self.causes)

    @property
    def exact(self) -> bool:
        """The truth, alone."""
        return self.codes == (self.scenario.truth,)

    @property
    def first(self) -> bool:
        """The truth, alone or before others."""
        return self.codes[:1] == (self.scenario.truth,)

    @property
    def fits(self) -> bool:
        return self.scenario.truth in self.codes

    @property
    def wrong_for_certain(self) -> bool:
        certain = any(one.confidence is Confidence.HIGH for one in self.causes)
        return certain and not self.exact


def scenarios() -> list[Scenario]:
    return [*certificates.scenarios(), *refusals.scenarios()]


def by_evidence(scenario: Scenario) -> Outcome:
    return Outcome(scenario, diagnose(scenario.case).causes)


def by_text(scenario: Scenario) -> Outcome:
    return Outcome(scenario, explain(scenario.case.messages[0]).causes)


def grouped(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Return outcomes by their truth."""
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for one in outcomes:
        groups[one.scenario.truth].append(one)
    return dict(sorted(groups.items()))
