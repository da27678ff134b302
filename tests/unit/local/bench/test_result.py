import json

from rich.console import Console

from trustplane.proof.verdict import NotTrusted, RefusalReason, Trusted, Unclear
from trustplane_local.bench.load import Effects
from trustplane_local.bench.pods import PodEffects
from trustplane_local.bench.pulls import PullCounts
from trustplane_local.bench.result import (
    BenchmarkResult,
    CrossCheck,
    Timing,
    load_table,
    result_to_json,
    sum_effects,
    timing_table,
)
from trustplane_local.bench.trial import cross_check

WORKERS = Timing("CA added, 3 workers", (5.0, 9.0, 4.0, 5.5, 5.2), goal=6.0, replaced=65.0)


def load(**felt: int) -> Effects:
    return Effects(PullCounts(made=50, failed=1, last_failure="refused"), PodEffects(**felt), replaced=0)


def shown(result: BenchmarkResult) -> str:
    console = Console(width=200, record=True, quiet=True)
    with console.capture() as captured:
        console.quiet = False
        console.print(timing_table(result.timings), load_table(result))
    return captured.get()


def test_the_median_is_judged_and_compared() -> None:
    assert WORKERS.median == 5.2
    assert WORKERS.verdict == "6 s: met"
    assert WORKERS.ratio == 12.5
    assert Timing("slow", (7.0,), goal=6.0).verdict == "6 s: missed"


def test_what_has_no_goal_is_not_judged() -> None:
    removed = Timing("CA removed", (3.0,))
    assert removed.verdict == ""
    assert removed.ratio is None


def test_effects_of_all_changes_count_together() -> None:
    summed = sum_effects([load(restarts=1, pulls=3), load(ended=2, failed_pulls=1)])
    assert (summed.pulls.made, summed.pulls.failed, summed.pulls.last_failure) == (100, 2, "refused")
    assert (summed.disturbed_pods, summed.pods.pulls, summed.pods.failed_pulls) == (3, 3, 1)


def test_the_tables_have_every_run_every_goal_and_what_was_noticed() -> None:
    text = shown(BenchmarkResult((WORKERS,), (load(),), load(ended=7), ()))
    for words in ("5.0 9.0 4.0 5.5 5.2", "6 s: met", "65.0", "12.5", "1 of 50", "machines replaced"):
        assert words in text


def test_json_has_the_same() -> None:
    check = CrossCheck("CA added", agrees=False, message="node: Unclear")
    document = json.loads(json.dumps(result_to_json(BenchmarkResult((WORKERS,), (load(),), None, (check,)))))
    assert document["timings"][0]["median"] == 5.2
    assert document["timings"][0]["met"] is True
    assert document["inPlace"]["failedPulls"] == 1
    assert document["replacement"] is None
    assert document["crossChecks"] == {"made": 1, "disagree": [{"title": "CA added", "message": "node: Unclear"}]}


def test_an_independent_pull_agrees_only_where_every_worker_got_the_image() -> None:
    assert cross_check("x", {"a": Trusted(pulled=True)}, is_trusted=True).agrees
    assert not cross_check("x", {"a": Trusted(pulled=True), "b": Trusted()}, is_trusted=True).agrees
    assert "b: Unclear" in cross_check("x", {"b": Unclear("odd")}, is_trusted=True).message
    assert not cross_check("x", {}, is_trusted=True).agrees


def test_after_a_removal_an_independent_pull_agrees_where_every_worker_refuses() -> None:
    refusal = NotTrusted(RefusalReason.UNKNOWN_AUTHORITY, "x509", "host")
    assert cross_check("x", {"a": refusal}, is_trusted=False).agrees
    assert not cross_check("x", {"a": refusal, "b": Trusted(pulled=True)}, is_trusted=False).agrees
