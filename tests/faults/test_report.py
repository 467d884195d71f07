"""Tests of the report: what a run writes, what it leaves, and when it was too slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults import soak
from tests.faults.document import document
from tests.faults.drill import Drill, Findings
from tests.faults.drills import broker_cuts, fuzz, messages
from tests.faults.report import Done, Run

if TYPE_CHECKING:
    from tests.faults.drill import Size

IN_TIME = {"smoke": 2.9, "full": 19.9, "scale": 60.0, "soak": 60.0}


def run_of(drill: Drill, figure: str, size: Size = "full", minutes: float = 2) -> Run:
    """Return a run of one drill that found ``figure``."""
    findings = Findings(figures={"figure": figure})
    seconds = 60 * minutes
    return Run([Done(drill, findings, seconds)], "seed", seconds, size)


def test_whole_runs_single_scales_and_the_soak_leave_each_others_part_alone() -> None:
    report = document(run_of(broker_cuts.DRILL, "old cut"), "")
    report = document(run_of(soak.DRILL, "old soak", "soak"), report)
    report = document(run_of(fuzz.DRILL, "old fuzz", "scale"), report)
    report = document(run_of(messages.KILLS, "old kills", "scale"), report)
    report = document(run_of(broker_cuts.DRILL, "new cut"), report)
    report = document(run_of(fuzz.DRILL, "new fuzz", "scale"), report)

    assert "old cut" not in report
    assert "old fuzz" not in report
    figures = ("new cut", "old kills", "new fuzz", "old soak")
    places = [report.index(figure) for figure in figures]
    assert places == sorted(places)

    again = document(run_of(soak.DRILL, "new soak", "soak"), report)

    assert again.partition("## P23")[0] == report.partition("## P23")[0]
    assert "old soak" not in again
    assert again.index("new fuzz") < again.index("new soak")


def test_a_run_says_what_it_took_and_that_it_took_too_long() -> None:
    sizes: tuple[Size, ...] = ("smoke", "full", "scale", "soak")
    for size in sizes:
        run = run_of(broker_cuts.DRILL, "", size, IN_TIME[size])
        assert run.took == f"{IN_TIME[size]} minutes"

    assert "longer than the 3" in run_of(broker_cuts.DRILL, "", "smoke", 3.1).took
    assert "longer than the 20" in run_of(broker_cuts.DRILL, "", "full", 20.1).took
