"""Causes of failed pulls on real nodes: each scenario has one fault, and the diagnosis must name it.

The table of accuracy, also for the message alone: `make bench-diagnose`.
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
# Messages and chains do not show these: they need an inspection of a node or a pull secret, which the controller omits.
BY_LOOKING = {
    "expired root on the node, good one gone",
    "expired root loaded, good one not",
    "only the expired root trusted",
    "mirror not trusted, origin without the image",
    "secret of type Opaque",
    "secret without auths",
    "login without a password",
    "403 without a login",
    # A kubelet that has not read the Secret yet pulls without it. Its first message stays; it has the same first cause.
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
    results = [(live, answer[client][by]) for live, answer in answers if answer[client]]
    return [Outcome(live.name, live.truth, tuple((code, sure) for code, sure in found)) for live, found in results]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("client", CLIENTS)
def test_diagnose_names_the_cause(answers: Answers, client: str) -> None:
    evidence, text = (outcomes(answers, client, by) for by in ("evidence", "text"))
    print(f"\n{CLIENTS[client]}\n")  # noqa: T201 - the measured accuracy
    bench.show(bench.rows(evidence, text), evidence)
    seconds = [answer["seconds"] for _, answer in answers]
    unseen = {live.name: answer["unseen"] for live, answer in answers}
    print(f"\nAnswers took {statistics.median(seconds):.1f} s, at most {max(seconds):.1f} s, two at once.")  # noqa: T201
    assert len(evidence) >= 60
    assert not [(one.name, one.answer) for one in evidence if one.wrong_for_certain]
    inexact = [(one.name, one.truth, one.answer, unseen[one.name]) for one in evidence if not one.exact]
    assert len(inexact) <= 0.05 * len(evidence), "\n".join(map(str, inexact))


def test_diagnose_names_the_missing_ca(answers: Answers) -> None:
    fingerprints = {live.name: hashlib.sha256(live.fix).hexdigest() for live, _ in answers if live.fix}
    assert len(fingerprints) >= 4
    assert {live.name: answer["node"]["authority"] for live, answer in answers if live.fix} == fingerprints


@pytest.mark.timeout(600)
def test_every_pod_gets_one_event_for_a_cause(laboratory: Laboratory) -> None:
    notes = laboratory.explained()
    causes = {name: [NAMED.findall(note)[0] for note in told] for name, told in notes.items()}
    assert all(len(codes) == len(set(codes)) for codes in causes.values()), causes
    scenarios = [live for live in laboratory.scenarios if live.name not in BY_LOOKING]
    assert {live.name: notes[live.name] for live in scenarios if live.truth not in str(notes[live.name])} == {}
