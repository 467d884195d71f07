"""P13: work that kills its worker is set aside after three deaths; the rest goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.clock import monotonic, sleep
from tests.faults.checker import check
from tests.faults.drill import Drill, Findings
from tests.faults.loads.floods import flood
from tests.faults.task_names import COUNT, POISON
from tests.servers.http import call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.ground import Ground

DEATHS = 3
# More than is done before the next look.
WAITING = 300
SET_ASIDE = "SELECT id, deaths, attempts, last_error FROM outbox WHERE state = 'dead'"
DONE = "SELECT COUNT(*) FROM outbox WHERE name = :name AND state = 'done'"
LEFT = "SELECT COUNT(*) FROM outbox WHERE name = :name AND state IN ('ready', 'sent')"


def rate(ground: Ground, seconds: int) -> float:
    """Return how many counted tasks a second are done while enough of them wait."""
    start, before = monotonic(), ground.number(DONE, name=COUNT)
    while monotonic() - start < seconds:
        flood(ground, COUNT, WAITING - ground.number(LEFT, name=COUNT), payload="10")
        sleep(0.1)
    return (ground.number(DONE, name=COUNT) - before) / (monotonic() - start)


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Compare the rate without and with poison; then replay it by hand."""
    flood(ground, COUNT, WAITING, payload="10")
    ground.stack.wait(
        lambda: ground.number(DONE, name=COUNT) > 0, within_s=60, what="work begins"
    )
    rate(ground, counts["seconds"] // 4)
    alone = rate(ground, counts["seconds"])
    bad = flood(ground, POISON, counts["poison"])
    beside = rate(ground, counts["seconds"])
    ground.stack.wait(
        lambda: len(ground.sql(SET_ASIDE)) == len(bad),
        within_s=60,
        what="the poison is set aside",
    )
    aside = ground.sql(SET_ASIDE)
    ground.wait_finished(60)
    findings.judge(check(ground))
    share = 100 * beside / max(alone, 0.001)
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
    full={"seconds": 20, "poison": 2, "share": 80},
    # Rates of seconds on a shared machine say little: the quarantine is what counts.
    smoke={"seconds": 4, "poison": 1, "share": 10},
    processes=("ops", "relay", "worker"),
    settings={"LOST_RETRY_DELAY_S": "2"},
    alone=True,
)
