"""Missing evidence never leaves a wrong cause certain: every scenario, with each source of evidence broken."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from laboratory import table
from laboratory.material import host
from laboratory.replay import FAILS, FORBIDDEN, TIMES_OUT, Replay, each_broken, ways
from laboratory.table import Outcome, Scenario
from trustplane.diagnosis.cause import Code, Confidence
from trustplane.diagnosis.decision import Diagnosis, diagnose
from trustplane.diagnosis.facts import Case
from trustplane.diagnosis.layer import Role

SCENARIOS = table.scenarios()


async def ask(scenario: Scenario, broken: dict[str, str]) -> Diagnosis:
    return diagnose(await Replay(scenario.case, broken).gather())


def without_text(case: Case) -> Case:
    """Return a case without the texts of its reports: most ways to fail differ in nothing else."""
    reports = tuple(replace(report, text="") for report in case.reports)
    return replace(case, reports=tuple(sorted(reports, key=lambda report: (report.source, report.is_available))))


def is_certain(diagnosis: Diagnosis) -> bool:
    return any(cause.confidence is Confidence.HIGH for cause in diagnosis.causes)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_no_broken_source_leaves_a_wrong_cause_certain(scenario: Scenario) -> None:
    whole = await ask(scenario, {})
    seen: list[Case] = []
    for broken in each_broken(scenario.case):
        known = await Replay(scenario.case, broken).gather()
        if (same := without_text(known)) in seen:
            continue
        seen.append(same)
        diagnosis = diagnose(known)
        assert not Outcome.of(scenario, diagnosis.causes).wrong_for_certain, (broken, diagnosis.causes)
        if is_certain(whole) and not is_certain(diagnosis) and len(diagnosis.causes) == 1:
            assert diagnosis.unseen, broken
            assert "not seen: " in diagnosis.causes[0].reason, broken
            assert diagnosis.exit_code == 1, broken


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_nothing_is_doubted_if_everything_was_seen(scenario: Scenario) -> None:
    if scenario.case.disk is None:
        return  # its node is not inspected
    diagnosis = await ask(scenario, {})
    assert diagnosis.unseen == ()
    assert Outcome.of(scenario, diagnosis.causes).codes == table.by_evidence(scenario).codes
    assert is_certain(diagnosis) == is_certain(diagnose(scenario.case))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(SCENARIOS), st.data())
async def test_several_broken_sources_leave_no_wrong_cause_certain(scenario: Scenario, data: st.DataObject) -> None:
    sources = data.draw(st.sets(st.sampled_from(Replay.sources(scenario.case)), min_size=1, max_size=4))
    broken = {source: data.draw(st.sampled_from(ways(source))) for source in sorted(sources)}
    assert not Outcome.of(scenario, (await ask(scenario, broken)).causes).wrong_for_certain


def named(name: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario.name == name)


async def test_an_answer_may_hide_a_mirror_on_a_node_that_was_not_seen() -> None:
    """Under load, the inspection timed out, and the 404 of the origin was treated as the cause."""
    diagnosis = await ask(named("mirror not trusted, the origin answers"), {"ssh": TIMES_OUT})
    [cause] = diagnosis.causes
    assert (cause.code, cause.confidence) == (Code.IMAGE_NOT_FOUND, Confidence.MEDIUM)
    assert cause.reason.endswith("; not seen: node worker-0 over SSH")
    assert diagnosis.unseen == ("node worker-0 over SSH",)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("certificate for another name", "ssh"),  # message and chain agree
        ("certificate for another name", "sets"),
        ("server expired", "record"),
        ("broken file in certs.d, CA on the node", "hosts"),  # the message names the file
        ("wrong CA on the token service", "answers"),  # the message names the host
        ("wrong CA on the blob store", "here harbor.corp:8443"),
        ("new root not on the node", "others"),
        ("file cut short", "secrets"),
        ("mirror down, before the origin", "ssh"),
    ],
)
async def test_evidence_that_could_not_change_the_cause_is_not_missed(name: str, source: str) -> None:
    assert is_certain(await ask(named(name), {source: FAILS}))


async def test_hosts_on_other_sites_matter_only_if_they_may_have_failed() -> None:
    forbidden = {"here auth.corp": FORBIDDEN}
    diagnosis = await ask(named("wrong CA on the token service, unnamed"), forbidden)
    assert not is_certain(diagnosis)
    assert "token service from here" in diagnosis.unseen
    expired = named("server expired")
    second = replace(expired.case, hosts=(*expired.case.hosts, host(role=Role.TOKEN_SERVICE, address="auth.corp")))
    assert is_certain(await ask(replace(expired, case=second), forbidden))
