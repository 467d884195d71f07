"""P12: three beats, one frozen, clocks stepped; each due slot has one effect."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from config.clock import sleep
from tests.faults.clocks import Clock
from tests.faults.drill import Drill, Findings
from tests.faults.task_names import SHORT_JOBS, SHORT_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.ground import Ground

BEATS = ("beat", "beat2", "beat3")
STEP_S = 600
JOB_COUNT = 6
SLOTS = (
    "SELECT s.job, s.due, s.state, COUNT(e.n) AS effects FROM schedule_slots s "
    "LEFT JOIN outbox o ON o.subject_id = CONCAT(s.job, '@', s.due) "
    "LEFT JOIN drill_effects e ON e.outbox_id = o.id "
    "WHERE s.job LIKE 'drill%' GROUP BY s.job, s.due, s.state ORDER BY s.job, s.due"
)


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Freeze the first beat, step the clocks of the others and of the worker."""
    stack = ground.stack
    for name in BEATS[1:]:
        stack.lines[name] = stack.lines["beat"]
    clocks = [Clock(ground, name) for name in ("worker", *BEATS)]
    ground.restart("worker")
    stack.start(*BEATS)
    sleep(counts["around_s"])
    stack.running["beat"].freeze()
    for clock, step in zip(clocks, (STEP_S, 0, STEP_S, -STEP_S), strict=True):
        clock.step(step)
    sleep(counts["frozen_s"])
    stack.running["beat"].thaw()
    clocks[0].step(-STEP_S)
    sleep(counts["around_s"])
    for name in BEATS:
        ground.kill(name)
    ground.wait_finished(90)
    slots = ground.sql(SLOTS)
    wrong = [row for row in slots if row["effects"] != 1]
    gaps = sum(
        later["due"] - slot["due"] != SHORT_S * 1000
        for slot, later in itertools.pairwise(slots)
        if slot["job"] == later["job"]
    )
    told = [(row["state"], row["effects"]) for row in wrong[:3]]
    findings.expect(not wrong, f"{len(wrong)} slots have other effects: {told}")
    findings.expect(gaps == 0, f"{gaps} slots are missing")
    findings.expect(len(slots) >= counts["slots"], f"only {len(slots)} slots were due")
    findings.figures.update(
        slots=len(slots),
        with_one_effect=len(slots) - len(wrong),
        gaps=gaps,
        beats=len(BEATS),
        clocks_stepped_s=f"worker and two beats, +/-{STEP_S}",
        first_beat_frozen_s=counts["frozen_s"],
    )


DRILL = Drill(
    name="beats",
    promise="P12",
    does="three beats with jobs of 2 s; one is frozen for two minutes, the clocks of "
    "the others and of the worker are stepped by ten",
    rule="each due slot has exactly one effect, no slot is missing",
    run=run,
    full={"around_s": 20, "frozen_s": 120, "slots": 200},
    smoke={"around_s": 4, "frozen_s": 8, "slots": 6},
    processes=("relay", "worker"),
    settings={SHORT_JOBS: str(JOB_COUNT)},
)
