"""P16: restart web and workers gracefully at a steady load; nobody notices."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from config.clock import monotonic, sleep
from tests.faults.checker import check
from tests.faults.drill import Drill, Findings
from tests.faults.loads.floods import flood
from tests.faults.loads.load import Load
from tests.faults.loads.patches import Patches
from tests.faults.task_names import COUNT
from tests.servers.house import House
from tests.servers.process import wait_until
from tests.servers.stack import answers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.ground import Ground

DRAIN_S = 30


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Roll the web's processes by SIGHUP and the others by stop and start."""
    patches, drains, gaps = Patches(ground), [], []
    with Load(patches, rate=15) as load:
        for _ in range(counts["rounds"]):
            flood(ground, COUNT, 40, payload="20")
            gaps.append(reload_web(ground))
            drains.append(restart(ground, "worker"))
            drains.append(restart(ground, "relay"))
            sleep(counts["pause_s"])
    ground.wait_finished(90)
    findings.judge(check(ground))
    failed = len(load.tally.seen) - load.tally.accepted
    findings.expect(failed == 0, f"{failed} requests failed")
    findings.expect(max(drains) <= DRAIN_S, f"a drain took {max(drains):.0f} s")
    findings.figures.update(
        rounds=counts["rounds"],
        requests=f"{load.tally.accepted}/{len(load.tally.seen)} accepted",
        refusals=load.tally.refusals(),
        web_replaced_within_s=round(max(gaps), 1),
        longest_drain_s=round(max(drains), 1),
        p99_ms=round(load.tally.p99_ms),
    )


def reload_web(ground: Ground) -> float:
    """Have the web's processes replaced; the seconds until the new ones answer.

    gunicorn lets the old ones go while the new ones still load the app: whoever comes
    in between waits in the kernel's queue and is answered late, not refused.
    """
    web, start = ground.stack.running["web"], monotonic()
    before = set(House.children(web.pid))
    web.signal(signal.SIGHUP)
    wait_until(
        lambda: not before & set(House.children(web.pid)), within_s=60, what="old web"
    )
    url = f"{ground.stack.url('web')}/healthz"
    wait_until(lambda: answers(url), within_s=60, what="the new web answers")
    return monotonic() - start


def restart(ground: Ground, name: str) -> float:
    """Stop a process as a release does and start it; the seconds the stop took."""
    start, process = monotonic(), ground.stack.running.pop(name)
    process.signal(signal.SIGTERM)
    process.wait(60)
    took = monotonic() - start
    ground.stack.start(name)
    return took


DRILL = Drill(
    name="rolling-restart",
    promise="P16",
    does="SIGHUP to the web, SIGTERM and start of worker and relay, again and again",
    rule="0 failed requests, 0 lost, 0 doubled, each drain <= 30 s",
    run=run,
    full={"rounds": 10, "pause_s": 3},
)
