"""P1: kill -9 worker processes at work; each accepted piece happens once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.clock import monotonic
from tests.faults.checker import check
from tests.faults.drill import Drill, Findings
from tests.faults.ground import OPEN
from tests.faults.kills import Killer, confirmed
from tests.faults.loads.floods import flood
from tests.faults.loads.load import Load
from tests.faults.loads.logins import Logins
from tests.faults.loads.patches import Patches
from tests.faults.task_names import COUNT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.ground import Ground

LATE_S = 120
SET_ASIDE = "SELECT COUNT(*) FROM outbox WHERE state = 'dead'"
VICTIMS = ("child", "main", "child", "group")


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Flood, kill in turn while work is in flight, then compare."""
    killer, start = Killer(ground), monotonic()
    patches, logins = Patches(ground), Logins(ground)
    with Load(patches, rate=4) as patched, Load(logins, rate=2):
        tasks = 0
        for number in range(counts["kills"]):
            # Enough to be busy and no more: what waits would hide the recovery.
            more = counts["waiting"] - ground.number(OPEN)
            tasks += len(flood(ground, COUNT, more, payload="8"))
            killer.kill(VICTIMS[number % len(VICTIMS)])
    busy = monotonic() - start
    drained = ground.wait_finished(LATE_S + 30)
    hits = confirmed(ground, killer.hits)
    verdict = check(ground, hits=hits, late_after_s=LATE_S)
    # How long a row took from its own last kill is told and not judged: the promise
    # counts from the last of all, and until then each kill may cost it a sending.
    findings.judge(verdict)
    in_time = drained is not None and drained <= LATE_S
    findings.expect(in_time, "work was open 120 s after the last kill")
    enough = counts["kills"] * 4 // 5
    findings.expect(verdict.hits >= enough, f"only {verdict.hits} kills hit work")
    findings.figures.update(
        tasks=tasks,
        kills=counts["kills"],
        hits=verdict.hits,
        killing_s=round(busy),
        final_after_last_kill_s=None if drained is None else round(drained, 1),
        rows_hit=len({row for hit in hits for row, _ in hit.rows}),
        set_aside_after_three_deaths=ground.number(SET_ASIDE),
        patches_accepted=f"{patched.tally.accepted}/{len(patched.tally.seen)}",
    )


DRILL = Drill(
    name="worker-kills",
    promise="P1",
    does="kill -9 child, main process and whole worker in turn, each aimed at a moment "
    "when it holds a row; profile changes and logins go on meanwhile",
    rule="0 lost, 0 doubled, 4 of 5 kills hit work in flight, all final within 120 s "
    "of the last kill",
    run=run,
    full={"kills": 50, "waiting": 300},
    settings={"WORKER_CONCURRENCY": "4"},
)
