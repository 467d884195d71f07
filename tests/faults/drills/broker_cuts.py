"""P2: cut the broker's connection on replies that carry a task; each is sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.clock import monotonic, sleep
from tests.faults.checker import check
from tests.faults.drill import Drill, Findings
from tests.faults.loads.floods import flood
from tests.faults.task_names import COUNT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.ground import Ground

WITHIN_S = 60
# Each cut costs a worker its connection; several of them keep the drill short.
WORKERS = 4
RESENT = (
    "SELECT COUNT(*) AS n, MAX(updated_at - created_at) AS longest FROM outbox "
    "WHERE sends > 1 AND state = 'done'"
)


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Cut until the count is reached, feeding work all the while."""
    link, start = ground.links["broker"], monotonic()
    for number in range(2, WORKERS + 1):
        line = ground.stack.lines["worker"].replace("worker@", f"worker{number}@")
        ground.stack.run(f"worker{number}", ["sh", "-c", line])
    link.cut_next(counts["cuts"])
    tasks = 0
    while link.done < counts["cuts"] and monotonic() - start < counts["limit_s"]:
        flood(ground, COUNT, 4)
        tasks += 4
        sleep(0.25)
    link.heal()
    cutting_s = monotonic() - start
    ground.wait_finished(WITHIN_S + 60)
    verdict = check(ground)
    resent = ground.sql(RESENT)[0]
    verdict.hits, verdict.longest_s = link.done, int(resent["longest"] or 0) / 1000
    findings.judge(verdict, late_after_s=WITHIN_S)
    findings.expect(link.done >= counts["cuts"], f"only {link.done} replies were cut")
    findings.expect(resent["n"] > 0, "no row was sent again: nothing was lost to heal")
    findings.figures.update(
        replies_cut=link.done,
        tasks=tasks,
        rows_sent_again=resent["n"],
        cutting_s=round(cutting_s),
    )


DRILL = Drill(
    name="broker-cuts",
    promise="P2",
    does="a proxy cuts the connection just after Redis has popped a task: Celery alone "
    "never sees it again",
    rule="0 lost, 0 doubled, each lost message replaced within 60 s",
    run=run,
    full={"cuts": 100, "limit_s": 240},
    smoke={"cuts": 3, "limit_s": 30},
    processes=("relay", "worker"),
    settings={"WORKER_CONCURRENCY": "1"},
    links=("broker",),
)
