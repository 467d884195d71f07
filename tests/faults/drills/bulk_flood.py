"""P15: bulk work queued by the ten thousand delays no login and does not fill Redis.

Then more is asked for than the lanes may hold: it is refused with a reason and a wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.clock import monotonic, sleep
from tests.faults.drill import Drill, Findings
from tests.faults.loads.floods import flood
from tests.faults.loads.load import Load, Tally, quantile
from tests.faults.loads.messages import Messages
from tests.faults.loads.patches import Patches, logged_in, seen_of
from tests.faults.task_names import BULK, URGENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.ground import Ground
    from tests.faults.loads.load import Action, Seen

START = (
    "SELECT (e.at - o.created_at) / 1000 AS s FROM drill_effects e "
    "JOIN outbox o ON o.id = e.outbox_id WHERE o.name = :name"
)
MAX_BYTES = 64 * 1024 * 1024
# No notifier runs, so the lane of messages fills up; that of bulk work is full.
MOST_MESSAGES = 200
RATE, THREADS = 40, 8
# A lane is counted once a second (BACKLOG_FRESH_S), on a busy machine a little later.
OVERSHOOT = 3 * RATE


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Queue the bulk, time urgent work beside it, then ask for more than fits."""
    flood(ground, BULK, counts["bulk"])
    sleep(3)
    findings.figures.update(bulk_rows=counts["bulk"])
    time_urgent(ground, findings, counts["urgent"])
    left = ground.number(
        "SELECT COUNT(*) FROM outbox WHERE name = :name AND state <> 'done'", name=BULK
    )
    findings.expect(left > 0, "the bulk was gone before the end")
    findings.figures.update(bulk_left=left)
    fill(ground, findings, counts["refusals"])
    with ground.redis.client() as client:
        peak = int(client.info("memory")["used_memory_peak"])
        evicted = int(client.info("stats")["evicted_keys"])
        waiting = int(client.llen("kuaida:dev:bulk"))
    findings.expect(peak < MAX_BYTES, f"Redis used {peak} bytes")
    findings.expect(evicted == 0, f"{evicted} keys were evicted")
    findings.figures.update(
        bulk_messages_in_redis=waiting,
        redis_peak_mb=round(peak / 1024**2, 1),
        evicted=evicted,
    )


def time_urgent(ground: Ground, findings: Findings, count: int) -> None:
    """Accept urgent work each half second while people change their profiles."""
    with Load(Patches(ground), rate=5) as patched:
        for _ in range(count):
            flood(ground, URGENT, 1)
            sleep(0.5)
    sleep(3)
    starts = [float(row["s"]) for row in ground.sql(START, name=URGENT)]
    p95 = quantile(starts, 95)
    findings.expect(len(starts) == count, f"only {len(starts)} ran")
    findings.expect(p95 <= 2, f"p95 was {p95:.2f} s")
    findings.figures.update(
        urgent_start_p50_s=round(quantile(starts, 50), 2),
        urgent_start_p95_s=round(p95, 2),
        patch_p99_ms=round(patched.tally.p99_ms),
    )


def fill(ground: Ground, findings: Findings, refusals: int) -> None:
    """Ask for exports and messages until both were refused often enough."""

    def often_enough() -> bool:
        return all(
            len(load.tally.seen) - load.tally.accepted >= refusals
            for load in (exported, messaged)
        )

    exports, messages = ask_export(ground), Messages(ground)
    with (
        Load(exports, rate=RATE / 4) as exported,
        Load(messages, rate=RATE, threads=THREADS) as messaged,
    ):
        ground.stack.wait(often_enough, within_s=300, what="lanes are full")
    judge_refused(findings, "exports", exported.tally, most=0)
    judge_refused(findings, "messages", messaged.tally, most=MOST_MESSAGES)


def ask_export(ground: Ground) -> Action:
    """Return how a user asks for an export, as bulk work as any."""
    phone = logged_in(ground)

    def ask(thread: int) -> Seen:
        start = monotonic()
        token = phone.data["access_token"]
        return seen_of(phone.api("GET", "/me/export", token=token), start)

    return ask


def judge_refused(findings: Findings, what: str, tally: Tally, *, most: int) -> None:
    """Expect a lane to take what it may hold, and to say why it takes no more."""
    refused = [one for one in tally.seen if one.status != 200]
    odd = [one for one in refused
           if one.status not in (429, 503) or one.reason != "overloaded"
           or not one.told_wait]  # fmt: skip
    findings.expect(not odd, f"{len(odd)} {what} were refused otherwise: {odd[:3]}")
    fits = most <= tally.accepted <= most + (OVERSHOOT if most else 0)
    findings.expect(fits, f"{tally.accepted} {what} were accepted, the limit is {most}")
    findings.figures[f"{what} accepted"] = f"{tally.accepted}, {tally.refusals()}"


DRILL = Drill(
    name="bulk-flood",
    promise="P15",
    does="bulk rows queued at once; login-type work and profile changes go on; then "
    "more exports and messages are asked for than may wait",
    rule="login-type work starts within 2 s (p95); what is too much is refused as "
    "overloaded with a Retry-After; Redis below maxmemory (64 MB), 0 evictions",
    run=run,
    full={"bulk": 50_000, "urgent": 60, "refusals": 100},
    processes=("wechat", "web", "ops", "relay", "worker", "bulk"),
    settings={"NOTIFICATION_BACKLOG": str(MOST_MESSAGES)},
    redis={"maxmemory": "64mb"},
    alone=True,
)
