"""P6: kill and restart the database under writes; each 200 is there once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.clock import monotonic, sleep
from tests.faults.alarms import Alarm
from tests.faults.checker import check
from tests.faults.drill import Drill, Findings
from tests.faults.loads.load import Load, Tally
from tests.faults.loads.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.ground import Ground

NORMAL_S = 10
REFUSED = 'kuaida_http_errors_total{reason="unavailable"'


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Kill in the middle of commits, stay away for a moment, come back."""
    patches, backs = Patches(ground), []
    with Load(patches, rate=20) as load:
        for number in range(counts["kills"]):
            sleep(ground.random.uniform(1, 2))
            with Alarm(ground, REFUSED) as alarm:
                ground.mariadb.process.kill()
                sleep(counts["away_s"])
                ground.mariadb.start()
            backs.append(monotonic())
            sleep(2)
            if number == 0:
                alarm.tell(findings)
    ground.wait_finished(120)
    verdict = check(ground)
    waits = [first_accepted_s(load.tally, back) for back in backs]
    verdict.longest_s = max(waits)
    findings.judge(verdict, late_after_s=NORMAL_S)
    refused = [one for one in load.tally.seen if one.status != 200]
    odd = [one for one in refused if one.status != 503 or not one.told_wait]
    findings.expect(not odd, f"{len(odd)} refusals were no 503 with Retry-After")
    findings.figures.update(
        kills=counts["kills"],
        patches=f"{load.tally.accepted}/{len(load.tally.seen)} accepted",
        refusals=load.tally.refusals(),
        normal_again_s=f"longest {max(waits):.1f}",
    )


def first_accepted_s(tally: Tally, back: float) -> float:
    """Return the seconds from ``back`` to the end of the next accepted request."""
    ends = [one.at + one.seconds - back for one in tally.since(back).seen
            if one.status == 200]  # fmt: skip
    return min(ends, default=float("inf"))


DRILL = Drill(
    name="sql-kills",
    promise="P6",
    does="kill -9 of MariaDB in the middle of profile changes, restart after a moment "
    "(orders come later; the write path is the same)",
    rule="each 200 exists once, the others get 503 with Retry-After, normal within "
    "10 s of the database's return",
    run=run,
    full={"kills": 5, "away_s": 4},
    smoke={"kills": 1, "away_s": 2},
    processes=("wechat", "web", "ops", "relay", "worker"),
    own_sql=True,
)
