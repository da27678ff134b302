"""`make bench-diagnose`: how often the cause is named, from all evidence and from the message alone."""

import argparse
import json
from collections.abc import Sequence

from laboratory import table
from laboratory.table import Outcome
from trustplane.cli import options
from trustplane.cli.console import console

_TOTAL = "all"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", choices=["table", "json"], default="table")
    given = parser.parse_args()
    scenarios = table.scenarios()
    evidence, text = (
        [table.by_evidence(scenario) for scenario in scenarios],
        [table.by_text(scenario) for scenario in scenarios],
    )
    if given.output == "json":
        print(json.dumps({"causes": rows(evidence, text)}, indent=2))  # noqa: T201
    else:
        show(rows(evidence, text), evidence)


def rows(evidence: Sequence[Outcome], text: Sequence[Outcome]) -> list[dict[str, object]]:
    by_evidence, by_text = table.grouped(evidence), table.grouped(text)
    groups = [(truth, found, by_text[truth]) for truth, found in by_evidence.items()]
    return [
        {"cause": truth, "scenarios": len(found), "evidence": _counts(found), "text": _counts(beside)}
        for truth, found, beside in (*groups, (_TOTAL, evidence, text))
    ]


def _counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    return {
        "exact": sum(outcome.exact for outcome in outcomes),
        "first": sum(outcome.first for outcome in outcomes),
        "fits": sum(outcome.fits for outcome in outcomes),
        "wrong": sum(outcome.wrong_for_certain for outcome in outcomes),
    }


def show(found: Sequence[dict[str, object]], evidence: Sequence[Outcome]) -> None:
    drawn = options.table("CAUSE", "SCENARIOS", "EXACT", "FIRST", "WRONG", "TEXT: EXACT", "FIRST", "FITS", "WRONG")
    for row in found:
        by_evidence, by_text = row["evidence"], row["text"]
        assert isinstance(by_evidence, dict)
        assert isinstance(by_text, dict)
        counts = [by_evidence[measure] for measure in ("exact", "first", "wrong")]
        beside = [by_text[measure] for measure in ("exact", "first", "fits", "wrong")]
        drawn.add_row(str(row["cause"]), str(row["scenarios"]), *map(str, (*counts, *beside)))
    out = console()
    out.print(drawn)
    exact, first = (sum(getattr(one, name) for one in evidence) / len(evidence) for name in ("exact", "first"))
    out.print(
        f"\nBy the evidence: {exact:.1%} exact, {first:.1%} with the truth in the first place. EXACT: the truth alone; "
        "FIRST: before\nothers; FITS: among others; WRONG: something else with high confidence. What is not exact:\n"
    )
    for one in evidence:
        if not one.exact:
            out.print(f"  {one.name}: {', '.join(one.codes)}")


if __name__ == "__main__":
    main()
