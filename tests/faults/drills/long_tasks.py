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
EFFECTS = (
    "SELECT e.what, e.attempt, o.name, o.attempts FROM drill_effects e "
    "JOIN outbox o ON o.id = e.outbox_id"
)


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Let one kind of work report itself at checkpoints and the other keep silent."""
    second = ground.stack.lines["notifier"].replace("notifier@", "notifier2@")
    ground.stack.run("notifier2", ["sh", "-c", second])
    seconds = str(VISIBILITY_S * 3)
    flood(ground, LONG, counts["each"], payload=seconds)
    flood(ground, HOLD, counts["each"], payload=seconds)
    ground.wait_finished(VISIBILITY_S * 5)
    # The silent first attempts are still asleep: their late copies must be refused.
    ground.stack.wait(
        lambda: refused(ground) >= counts["each"],
        within_s=VISIBILITY_S * 4,
        what="late copies are refused",
    )
    findings.judge(check(ground))
    told = ground.sql(EFFECTS)
    reported = [row for row in told if row["name"] == LONG]
    silent = [row for row in told if row["name"] == HOLD]
    again = [row for row in reported if row["attempts"] != 1]
    findings.expect(not again, "work that reported itself was begun again")
    stale = [row for row in silent if row["attempt"] == 1]
    findings.expect(not stale, "an overtaken attempt wrote something")
    findings.figures.update(
        visibility_timeout_s=VISIBILITY_S,
        ran_s=VISIBILITY_S * 3,
        with_checkpoints=f"{len(reported)} effects, 1 attempt each",
        silent=f"{len(silent) // 2} effects, by the newest attempt",
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
    "workers; one kind reports itself at checkpoints, the other keeps silent",
    rule="one effect each; who reports is begun once, the silent one's late copy is "
    "refused by its fence",
    run=run,
    full={"each": 4},
    processes=("ops", "relay", "notifier"),
    settings={
        IMPATIENCE_S: str(VISIBILITY_S),
        "TASK_LEASE_S": "8",
        "RESEND_AFTER_S": "4",
    },
)
