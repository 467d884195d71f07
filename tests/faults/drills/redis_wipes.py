"""P3: wipe Redis under load; work is dispatched again, people stay logged in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.clock import monotonic, now_ms, sleep
from tests.faults.checker import check
from tests.faults.drill import Drill, Findings
from tests.faults.loads.floods import flood
from tests.faults.loads.load import Load
from tests.faults.loads.logins import Logins
from tests.faults.loads.patches import Patches, logged_in
from tests.faults.task_names import COUNT
from tests.servers.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.ground import Ground

WITHIN_S = 60


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Flood, wipe while the broker is full, go on; then look at everybody's session."""
    quiet = [logged_in(ground) for _ in range(counts["people"])]
    sleep(2)
    patches, logins, wipes = Patches(ground), Logins(ground), []
    gone = 0
    with Load(patches, rate=10) as patched, Load(logins, rate=10):
        for number in range(counts["wipes"]):
            flood(ground, COUNT, counts["tasks"], payload="30")
            gone += wait_for_messages(ground)
            wipe(ground, restart=number % 2 == 1)
            wipes.append(now_ms())
            sleep(4)
    healed = sum(phone.me().status == 200 for phone in quiet)
    refreshed = sum(phone.refresh().status == 200 for phone in quiet)
    start = monotonic()
    ground.wait_finished(WITHIN_S + 60)
    verdict = check(ground, wipes=wipes)
    verdict.longest_s = monotonic() - start
    findings.judge(verdict, late_after_s=WITHIN_S + 30)
    findings.expect(healed == len(quiet), f"only {healed} people stayed logged in")
    findings.expect(refreshed == len(quiet), f"only {refreshed} could refresh")
    findings.expect(gone > 0, "no message was lost: the wipe hit an empty broker")
    findings.figures.update(
        wipes=len(wipes),
        messages_lost_by_redis=gone,
        logged_in_after=f"{healed}/{len(quiet)}",
        refreshed_after=f"{refreshed}/{len(quiet)}",
        patches_accepted=f"{patched.tally.accepted}/{len(patched.tally.seen)}",
        history_rows_wiped=len(verdict.wiped),
    )


def wait_for_messages(ground: Ground) -> int:
    """Return how many messages wait in the broker, as soon as some do."""
    with ground.redis.client() as client:

        def waiting() -> int:
            return int(client.llen("kuaida:dev:sync"))

        wait_until(waiting, within_s=10, what="messages wait", every_s=0.005)
        return waiting()


def wipe(ground: Ground, *, restart: bool) -> None:
    """Forget everything: by command, or by a restart without a file."""
    if not restart:
        ground.redis.flush()
        return
    ground.redis.process.kill()
    ground.redis.start()


DRILL = Drill(
    name="redis-wipes",
    promise="P3",
    does="FLUSHALL, and kill with restart from nothing, in turn, while messages wait "
    "in the broker and people write and log in",
    rule="0 lost, 0 doubled, all dispatched again within 60 s of a full queue, every "
    "session answers and refreshes; logins of the last moment may lose their history "
    "row (counted)",
    run=run,
    full={"wipes": 3, "tasks": 400, "people": 20},
    smoke={"wipes": 1, "tasks": 60, "people": 4},
)
