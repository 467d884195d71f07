"""P21: the clock of one process at a time is ten minutes off; nothing is early."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.clock import now_ms, sleep
from tests.faults.clocks import Clock
from tests.faults.drill import Drill, Findings
from tests.faults.drills.messages import PROCESSES, judge
from tests.faults.loads.load import Load
from tests.faults.loads.messages import Messages, arrivals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.ground import Ground

STEP_S = 600
STEPPED = ("relay", "worker", "notifier")
EARLY_MS = 1000


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Plan messages for a moment ahead and step clocks before it comes."""
    clocks = {name: Clock(ground, name) for name in STEPPED}
    for name in STEPPED:
        ground.restart(name)
    messages = Messages(ground)
    with Load(messages, rate=6):
        for number in range(counts["rounds"]):
            for step in (STEP_S, -STEP_S):
                send_at = now_ms() + counts["ahead_s"] * 1000
                for thread in range(4):
                    messages.send(thread, send_at=send_at)
                clock = clocks[STEPPED[number % len(STEPPED)]]
                clock.step(step)
                sleep(counts["ahead_s"] + 1)
                clock.step(0)
    judge(ground, findings, patience_s=120)
    due = planned_moments(ground)
    arrived = arrivals(ground)
    early = [
        number
        for number, at in arrived.items()
        if number in due and at[0] < due[number] - EARLY_MS
    ]
    findings.expect(not early, f"{len(early)} messages were sent too early")
    findings.figures.update(
        steps=counts["rounds"] * 2,
        stepped=", ".join(STEPPED),
        planned_messages=len(due),
        messages=len(arrived),
        sent_early=len(early),
        most_arrivals_of_one=max(map(len, arrived.values()), default=0),
    )


def planned_moments(ground: Ground) -> dict[str, int]:
    """Return when each planned message was to be sent."""
    query = "SELECT dedupe_key, send_at FROM notifications WHERE send_at > created_at"
    return {row["dedupe_key"]: int(row["send_at"]) for row in ground.sql(query)}


DRILL = Drill(
    name="stepped-clocks",
    promise="P21",
    does="the clocks of relay, worker and notifier are stepped by +/- ten minutes, one "
    "at a time, while planned messages wait",
    rule="0 doubled sends, 0 sends before their time, 0 lost",
    run=run,
    full={"rounds": 3, "ahead_s": 4},
    processes=PROCESSES,
)
