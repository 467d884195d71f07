"""P8 and P24: messages to WeChat under kills and lost answers; one call at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.clock import sleep
from tests.faults.alarms import scrape
from tests.faults.checker import Verdict
from tests.faults.drill import Drill, Findings
from tests.faults.ground import wait_gone
from tests.faults.kills import Killer, confirmed
from tests.faults.loads.load import Load
from tests.faults.loads.messages import (
    SEND,
    Messages,
    arrival_shares,
    arrivals,
    count_states,
    doubled,
    states,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.ground import Ground

FINAL = ("sent", "delivered", "failed", "unknown", "cancelled")
OPEN = (
    "SELECT COUNT(*) FROM notifications WHERE state NOT IN "
    "('sent', 'delivered', 'failed', 'unknown', 'cancelled')"
)
ARRIVAL_S, SHARE = 10, 95
# The part of the messages over which the kills are spread; the rest loses answers.
KILLED_SHARE = 0.8
UNKNOWN = 'kuaida_notification_rows{state="unknown"}'


def judge(ground: Ground, findings: Findings, patience_s: float) -> Verdict:
    """Wait for the end of every message and compare ledger, table and arrivals."""
    wait_gone(lambda: ground.number(OPEN), patience_s)
    known, arrived = states(ground), arrivals(ground)
    verdict = Verdict(doubled=doubled(ground))
    for entry in ground.ledger.read("message"):
        verdict.acknowledged += not entry.unknown
        verdict.unknown += entry.unknown
        if not entry.unknown and known.get(entry.id) not in FINAL:
            verdict.lost.append(entry.id)
        told_sent = known.get(entry.id) in ("sent", "delivered")
        if told_sent and entry.id not in arrived:
            verdict.lost.append(entry.id)
    findings.judge(verdict)
    return verdict


def kill(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Kill the notifier while calls are under way, then lose answers."""
    # Enough users that two messages of one moment rarely meet: WeChat refuses those.
    messages, killer = Messages(ground, users=16), Killer(ground, "notifier")
    wechat = ground.stack.wechat
    wechat.fault(SEND, "delay", delay_ms=300)
    with Load(messages, rate=counts["rate"], threads=16) as load:
        for number in range(counts["kills"]):
            share = number / counts["kills"] * KILLED_SHARE
            wait_accepted(ground, load, int(counts["messages"] * share))
            killer.kill("group")
        lose_answers(ground, "accept_then_reset", counts["resets"])
        lose_answers(ground, "accept_then_stall", counts["stalls"])
        wechat.heal()
        wait_accepted(ground, load, counts["messages"])
    verdict = judge(ground, findings, patience_s=120)
    hits = confirmed(ground, killer.hits)
    verdict.hits = sum(bool(hit.rows) for hit in hits)
    told = count_states(ground)
    at_risk = sum(len(hit.rows) for hit in hits)
    at_risk += counts["resets"] + counts["stalls"]
    findings.expect(told["unknown"] <= at_risk, f"{told['unknown']} are unknown")
    shown = scrape(ground).get(UNKNOWN)
    findings.expect(shown == told["unknown"], f"/metrics shows {shown} unknown")
    findings.figures.update(
        messages=len(load.tally.seen),
        kills=counts["kills"],
        hits=verdict.hits,
        answers_lost=counts["resets"] + counts["stalls"],
        in_flight_at_risk=at_risk,
        states=dict(told),
        most_arrivals_of_one=max(map(len, arrivals(ground).values()), default=0),
    )


def wait_accepted(ground: Ground, load: Load, count: int) -> None:
    """Wait until the load has had ``count`` messages accepted."""
    ground.stack.wait(
        lambda: load.tally.accepted >= count,
        within_s=300,
        what=f"{count} messages are accepted",
    )


def lose_answers(ground: Ground, mode: str, times: int) -> None:
    """Have WeChat take the next ``times`` calls and never answer them."""
    wechat = ground.stack.wechat
    wechat.heal()
    before = wechat.calls(SEND)
    wechat.fault(SEND, mode, times=times)
    ground.stack.wait(
        lambda: wechat.calls(SEND) >= before + times, within_s=300, what=f"{mode} calls"
    )


def steady(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Send at a steady rate in good health and take the time to the arrival."""
    messages = Messages(ground)
    with Load(messages, rate=counts["rate"], threads=4) as load:
        sleep(counts["seconds"])
    judge(ground, findings, patience_s=60)
    asked, in_time = arrival_shares(ground, ARRIVAL_S)
    share = 100 * in_time / max(1, asked)
    findings.expect(share >= SHARE, f"only {share:.1f} % arrived within 10 s")
    findings.figures.update(
        accepted=f"{load.tally.accepted}/{len(load.tally.seen)}",
        arrived_within_10_s=f"{in_time}/{asked} ({share:.1f} %)",
        refusals=load.tally.refusals(),
    )


# With the clock: its sweep settles what three deaths in the call left `sending`.
PROCESSES = ("wechat", "web", "ops", "relay", "worker", "notifier", "beat")
KILLS = Drill(
    name="message-kills",
    promise="P8",
    does="kill -9 of the notifier while it calls WeChat, then WeChat accepts and "
    "resets or falls silent",
    rule="no message reaches WeChat twice, each ends in a final state, unknown <= "
    "what was in flight, and /metrics shows as many",
    run=kill,
    full={"messages": 1000, "rate": 8, "kills": 50, "resets": 400, "stalls": 100},
    at_scale={"messages": 5000, "rate": 8, "kills": 50, "resets": 400, "stalls": 100},
    smoke={"messages": 20, "rate": 8, "kills": 2, "resets": 6, "stalls": 1},
    processes=PROCESSES,
    settings={
        "TASK_LEASE_S": "10",
        "NOTIFICATION_CALL_S": "5",
        "RESEND_AFTER_S": "5",
        # Each lost answer must be of a call that was made: the breaker would spare
        # WeChat all but one call in two seconds.
        "WECHAT_BREAKER_FAILURES": "1000",
    },
)
STEADY = Drill(
    name="message-arrival",
    promise="P24",
    does="messages at a steady rate",
    rule=">= 95 % reach the simulator within 10 s of their acceptance",
    run=steady,
    full={"seconds": 20, "rate": 10},
    processes=PROCESSES,
    alone=True,
)
