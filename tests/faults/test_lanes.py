"""Tests of running drills side by side, with drills that break nothing."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from config.clock import sleep
from tests.faults.drill import Drill, Findings
from tests.faults.lanes import FORK, run_lanes
from tests.faults.report import Done
from tests.servers.process import wait_until

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = 30


def nothing(*_: object) -> None:
    """Break nothing."""


def idle(name: str) -> Drill:
    """Return a drill that is only a name."""
    return Drill(name, "P1", "", "", run=nothing, full={})


FIRST, SECOND, THIRD = idle("first"), idle("second"), idle("third")


def test_neighbours_run_at_once_and_each_tells_what_it_found() -> None:
    meeting = FORK.Barrier(2)

    def act(drill: Drill) -> Done:
        meeting.wait(PATIENCE_S)
        return Done(drill, Findings(figures={"name": drill.name}), 1.0)

    done = list(run_lanes([FIRST, SECOND], act, lanes=2))

    assert {one.findings.figures["name"] for one in done} == {"first", "second"}


def test_one_lane_keeps_the_order() -> None:
    drills = [SECOND, FIRST, THIRD]

    done = run_lanes(drills, lambda drill: Done(drill, Findings(), 1.0), lanes=1)

    assert [one.drill.name for one in done] == ["second", "first", "third"]


def test_a_drill_whose_process_dies_is_broken_and_the_next_one_runs() -> None:
    def act(drill: Drill) -> Done:
        if drill.name == "first":
            os.kill(os.getpid(), signal.SIGKILL)
        return Done(drill, Findings(), 1.0)

    first, second = run_lanes([FIRST, SECOND], act, lanes=1)

    assert first.findings.broken == ["its process ended before it was done"]
    assert second.findings.broken == []


def test_a_run_that_is_given_up_lets_its_drills_close_their_ground(
    tmp_path: Path,
) -> None:
    began, closed = tmp_path / "began", tmp_path / "closed"

    def act(drill: Drill) -> Done:
        if drill.name == "first":
            wait_until(began.exists, within_s=PATIENCE_S, what="the second began")
            return Done(drill, Findings(), 1.0)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        try:
            began.touch()
            sleep(PATIENCE_S)
        finally:
            closed.touch()
        raise AssertionError

    with closing(run_lanes([FIRST, SECOND], act, lanes=2)) as found:
        next(found)

    assert closed.exists()
