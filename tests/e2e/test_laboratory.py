"""Why pulls fail on real nodes: each scenario has one thing wrong, and the answer has to be that one.

The table of accuracy, and of what the text alone would have said: `make bench-diagnose`.
"""

import contextlib
import hashlib
import statistics
from collections.abc import Iterator

import pytest

from bench import diagnose as bench
from e2e.clusters import Json
from e2e.laboratory import Laboratory
from laboratory.live.scenario import Live, Site
from laboratory.table import Outcome
from trustplane.local.demo.fleet import Fleet
from trustplane.local.stack import Stack

CLIENTS = {"node": "kubelet and containerd on a node", "skopeo": "skopeo, in the words of CRI-O"}
Answers = list[tuple[Live, Json]]


@pytest.fixture(scope="module")
def answers(stack: Stack, fleet: Fleet, deep: str) -> Iterator[Answers]:
    with contextlib.ExitStack() as running:
        laboratory = Laboratory(stack, fleet, deep, Site(stack.address(1), running))
        running.callback(laboratory.clean)
        laboratory.set_up()
        yield list(zip(laboratory.scenarios, laboratory.answers(), strict=True))


def outcomes(answers: Answers, client: str, by: str) -> list[Outcome]:
    told = [(live, answer[client][by]) for live, answer in answers if answer[client]]
    return [Outcome(live.name, live.truth, tuple((code, sure) for code, sure in found)) for live, found in told]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("client", CLIENTS)
def test_the_cause_is_named_by_the_evidence(answers: Answers, client: str) -> None:
    evidence, text = (outcomes(answers, client, by) for by in ("evidence", "text"))
    print(f"\n{CLIENTS[client]}\n")  # noqa: T201 - the measured accuracy
    bench.show(bench.rows(evidence, text), evidence)
    seconds = [answer["seconds"] for _, answer in answers]
    print(f"\nAnswers took {statistics.median(seconds):.1f} s, at most {max(seconds):.1f} s, four at once.")  # noqa: T201
    assert len(evidence) >= 60
    assert not [(one.name, one.answer) for one in evidence if one.wrong_for_certain]
    assert sum(one.exact for one in evidence) >= 0.95 * len(evidence), [
        (one.name, one.truth, one.answer) for one in evidence if not one.exact
    ]


def test_the_ca_that_would_mend_it_is_named(answers: Answers) -> None:
    wanted = {live.name: hashlib.sha256(live.fix).hexdigest() for live, _ in answers if live.fix}
    assert len(wanted) >= 4
    assert {live.name: answer["node"]["authority"] for live, answer in answers if live.fix} == wanted
