"""P14: work that runs three times as long as the broker waits for it happens once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.alarms import scrape
from tests.faults.checker import check
from tests.faults.drill import Drill, Findings
from tests.faults.loads.floods import flood
from tests.faults.task_names import HOLD, IMPATIENCE_S, LONG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.ground import Ground

VISIBILITY_S = 10
SECONDS = str(VISIBILITY_S * 3)
PATIENCE_S = VISIBILITY_S * 6
HELD = "SELECT COUNT(*) FROM outbox WHERE state = 'sent' AND holder_fence IS NOT NULL"
EFFECTS = (
    "SELECT e.what, e.attempt, o.id, o.attempts FROM drill_effects e "
    "JOIN outbox o ON o.id = e.outbox_id"
)


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Freeze a worker with silent work in hand; then let work of both kinds last."""
    frozen = flood(ground, HOLD, counts["each"], payload=SECONDS)
    ground.stack.wait(
        lambda: ground.number(HELD) == len(frozen), within_s=60, what="work is held"
    )
    ground.stack.running["notifier"].freeze()
    second = ground.stack.lines["notifier"].replace("notifier@", "notifier2@")
    ground.stack.run("notifier2", ["sh", "-c", second])
    ground.wait_finished(PATIENCE_S)
    ground.stack.running["notifier"].thaw()
    ground.stack.wait(
        lambda: refused(ground) >= len(frozen),
        within_s=PATIENCE_S,
        what="late copies are refused",
    )
    reporting = flood(ground, LONG, counts["each"], payload=SECONDS)
    silent = flood(ground, HOLD, counts["each"], payload=SECONDS)
    ground.wait_finished(PATIENCE_S)
    findings.judge(check(ground))
    told = ground.sql(EFFECTS)
    lived = [row for row in told if row["id"] in {*reporting, *silent}]
    again = [row for row in lived if row["attempts"] != 1]
    findings.expect(not again, "work of a living process was begun again")
    stale = [row for row in told if row["id"] in frozen and row["attempt"] == 1]
    findings.expect(not stale, "an overtaken attempt wrote something")
    findings.figures.update(
        visibility_timeout_s=VISIBILITY_S,
        ran_s=int(SECONDS),
        with_checkpoints=f"{len(reporting)}, begun once each",
        silent=f"{len(silent)}, begun once each",
        frozen=f"{len(frozen)}, done by the newest attempt",
        late_copies_refused=refused(ground),
    )


def refused(ground: Ground) -> int:
    """Count the silent tasks that came back and found their row done or taken."""
    return sum(
        int(value)
        for name, value in scrape(ground).items()
        if name.startswith("kuaida_task_runs_total")
        and HOLD in name
        and ("doubled" in name or "overtaken" in name)
    )


DRILL = Drill(
    name="long-tasks",
    promise="P14",
    does="tasks of 30 s under a visibility timeout of 10 s and a lease of 8 s, two "
    "workers; one kind reports itself at checkpoints, the other keeps silent, and one "
    "worker is frozen with silent ones in hand",
    rule="one effect each; what lives is begun once, what was frozen comes back as a "
    "late copy and is refused by its fence",
    run=run,
    full={"each": 4},
    processes=("ops", "relay", "notifier"),
    settings={
        IMPATIENCE_S: str(VISIBILITY_S),
        "TASK_LEASE_S": "8",
        "NOTIFICATION_CALL_S": "4",
        "RESEND_AFTER_S": "4",
    },
)
