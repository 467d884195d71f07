"""Tests of the report: what a run writes, what it leaves, and when it was too slow."""

from __future__ import annotations

from tests.faults import soak
from tests.faults.drill import Drill, Findings
from tests.faults.drills import broker_cuts
from tests.faults.report import Done, Run, document


def run_of(drill: Drill, figure: str, minutes: float = 19.0) -> Run:
    """Return a run of one drill that found ``figure``."""
    findings = Findings(figures={"figure": figure})
    return Run([Done(drill, findings, 60 * minutes)], "seed", 60 * minutes)


def test_the_drills_and_the_soak_leave_each_others_part_alone() -> None:
    report = document(run_of(broker_cuts.DRILL, "old cut"), "")
    report = document(run_of(soak.DRILL, "old soak", 30), report)
    report = document(run_of(broker_cuts.DRILL, "new cut"), report)

    assert "old cut" not in report
    assert report.index("new cut") < report.index("old soak")

    report = document(run_of(soak.DRILL, "new soak", 30), report)

    assert "old soak" not in report
    assert report.index("new cut") < report.index("new soak")


def test_a_run_says_what_it_took_and_that_it_took_too_long() -> None:
    assert run_of(broker_cuts.DRILL, "", 19.9).took == "19.9 minutes in one run"
    assert "longer than the 20" in run_of(broker_cuts.DRILL, "", 20.1).took
    assert run_of(soak.DRILL, "", 30.2).took == "30.2 minutes in one run"
