"""Why pulls fail on real nodes: each scenario has one thing wrong, and the answer has to be that one.

The table of accuracy, and of what the text alone would have said: `make bench-diagnose`.
"""

import contextlib
import hashlib
import re
import statistics
from collections.abc import Iterator

import pytest

from bench import diagnose as bench
from e2e.clusters import Json
from e2e.laboratory import Laboratory
from laboratory.live.scenario import Live, Site
from laboratory.table import Outcome
from trustplane_local.demo.fleet import DemoClusters
from trustplane_local.stack import Stack

CLIENTS = {"node": "kubelet and containerd on a node", "skopeo": "skopeo, in the words of CRI-O"}
NAMED = re.compile(r"\(([a-z0-9-]+), \w+ confidence\)")
# Words and chains do not show these: it takes a look at a node or at a pull secret, which the controller does not take.
BY_LOOKING = {
    "expired root on the node, good one gone",
    "expired root loaded, good one not",
    "only the expired root trusted",
    "mirror not trusted, origin without the image",
    "secret of type Opaque",
    "secret without auths",
    "login without a password",
    "403 without a login",
    # A kubelet that has not read the Secret yet asks without it. What that is told stays: it has the same first cause.
    "wrong password",
}
Answers = list[tuple[Live, Json]]


@pytest.fixture(scope="module")
def laboratory(stack: Stack, fleet: DemoClusters, deep: str) -> Iterator[Laboratory]:
    with contextlib.ExitStack() as running:
        made = Laboratory(stack, fleet, deep, Site(stack.address(1), running))
        running.callback(made.clean)
        made.set_up()
        yield made


@pytest.fixture(scope="module")
def answers(laboratory: Laboratory) -> Answers:
    return list(zip(laboratory.scenarios, laboratory.answers(), strict=True))


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
    late = {live.name: answer["late"] for live, answer in answers}
    print(f"\nAnswers took {statistics.median(seconds):.1f} s, at most {max(seconds):.1f} s, four at once.")  # noqa: T201
    assert len(evidence) >= 60
    assert not [(one.name, one.answer) for one in evidence if one.wrong_for_certain]
    inexact = [(one.name, one.truth, one.answer, late[one.name]) for one in evidence if not one.exact]
    assert len(inexact) <= 0.05 * len(evidence), "\n".join(map(str, inexact))


def test_the_ca_that_would_mend_it_is_named(answers: Answers) -> None:
    wanted = {live.name: hashlib.sha256(live.fix).hexdigest() for live, _ in answers if live.fix}
    assert len(wanted) >= 4
    assert {live.name: answer["node"]["authority"] for live, answer in answers if live.fix} == wanted


@pytest.mark.timeout(600)
def test_every_pod_is_told_unasked_and_once_for_a_cause(laboratory: Laboratory) -> None:
    notes = laboratory.explained()
    causes = {name: [NAMED.findall(note)[0] for note in told] for name, told in notes.items()}
    assert all(len(codes) == len(set(codes)) for codes in causes.values()), causes
    told = [live for live in laboratory.scenarios if live.name not in BY_LOOKING]
    assert {live.name: notes[live.name] for live in told if live.truth not in str(notes[live.name])} == {}
