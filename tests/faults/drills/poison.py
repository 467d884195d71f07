"""P13: work that kills its worker is set aside after three deaths; the rest goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.clock import monotonic
from tests.faults.checker import check
from tests.faults.drill import Drill, Findings
from tests.faults.loads.floods import flood
from tests.faults.task_names import COUNT, POISON
from tests.servers.http import call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.ground import Ground

DEATHS = 3
SET_ASIDE = "SELECT id, deaths, attempts, last_error FROM outbox WHERE state = 'dead'"
LEFT = "SELECT COUNT(*) FROM outbox WHERE name = :name AND state IN ('ready', 'sent')"


def rate(ground: Ground, count: int) -> float:
    """Return how many counted tasks a second are done."""
    start = monotonic()
    flood(ground, COUNT, count, payload="10")
    while ground.number(LEFT, name=COUNT) and monotonic() - start < 90:
        pass
    return count / (monotonic() - start)


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Compare the rate without and with poison; then replay it by hand."""
    rate(ground, counts["tasks"] // 4)
    alone = rate(ground, counts["tasks"])
    bad = flood(ground, POISON, counts["poison"])
    beside = rate(ground, counts["tasks"])
    ground.stack.wait(
        lambda: len(ground.sql(SET_ASIDE)) == len(bad),
        within_s=60,
        what="the poison is set aside",
    )
    aside = ground.sql(SET_ASIDE)
    ground.wait_finished(60)
    findings.judge(check(ground))
    share = 100 * beside / alone
    findings.expect(
        all(row["deaths"] == DEATHS for row in aside), "not after three deaths"
    )
    findings.expect(
        share >= counts["share"], f"others ran at {share:.0f} % of their rate"
    )
    findings.expect(replays(ground, bad[0]), "it could not be replayed")
    findings.figures.update(
        poison=len(bad),
        set_aside=len(aside),
        cause=aside[0]["last_error"],
        tasks_a_second=f"{alone:.0f} alone, {beside:.0f} beside poison",
        share_percent=round(share),
    )


def replays(ground: Ground, row_id: str) -> bool:
    """Ask the internal listener to replay the row, and see it begin again."""
    token = (ground.stack.var / "secrets" / "admin_token").read_text().strip()
    url = f"{ground.stack.url('ops')}/admin/v1/outbox/{row_id}/replay"
    answer = call("POST", url, token=token)
    row = ground.sql("SELECT state, sends FROM outbox WHERE id = :id", id=row_id)[0]
    return answer.status == 200 and row["state"] in ("ready", "sent")


DRILL = Drill(
    name="poison",
    promise="P13",
    does="tasks that end their process with SIGKILL, among ordinary ones",
    rule="each set aside after 3 deaths with its cause, replayable; the others keep "
    ">= 80 % of their rate",
    run=run,
    full={"tasks": 1500, "poison": 2, "share": 80},
    # Rates of seconds on a shared machine say little: the quarantine is what counts.
    smoke={"tasks": 60, "poison": 1, "share": 10},
    processes=("ops", "relay", "worker"),
    settings={"LOST_RETRY_DELAY_S": "2"},
)
