"""A bad network to Redis, store and broker: stalled, silent, half open, slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.clock import now_ms, sleep
from tests.faults.checker import check
from tests.faults.drill import Drill, Findings
from tests.faults.drills.redis_freeze import first_effect_s
from tests.faults.loads.floods import flood
from tests.faults.loads.load import Load, Tally
from tests.faults.loads.logins import Logins
from tests.faults.loads.patches import Patches
from tests.faults.task_names import COUNT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.faults.ground import Ground
    from tests.servers.proxy import FaultProxy

RESUME_S = 60
MODES: dict[str, Callable[[FaultProxy], object]] = {
    "replies stalled": lambda link: link.stall("replies"),
    "requests stalled": lambda link: link.stall("requests"),
    "black hole": lambda link: link.black_hole(),
    "half open": lambda link: link.half_open(),
    "all cut": lambda link: link.cut_all(),
    "50 ms late": lambda link: link.delay(0.05),
}


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Apply each mode to each link for a while, heal it, and time the next task."""
    patches, logins = Patches(ground), Logins(ground)
    worker = ground.stack.running["worker"].pid
    with Load(patches, rate=8) as patched, Load(logins, rate=4) as logged:
        sleep(2)
        for name in ("store", "broker"):
            for mode, spoil in MODES.items():
                waited = spoiled(ground, name, spoil, counts["seconds"])
                findings.figures[f"{name} {mode}"] = f"next task after {waited} s"
                found = waited is not None and waited <= RESUME_S
                findings.expect(found, f"{name} {mode}: work did not resume")
    ground.wait_finished(120)
    verdict = check(ground)
    findings.judge(verdict)
    seen = Tally([*patched.tally.seen, *logged.tally.seen])
    same = ground.stack.running["worker"].pid == worker
    findings.expect(seen.share >= 99, f"only {seen.share:.1f} % were accepted")
    findings.expect(same and ground.stack.running["worker"].alive, "the worker died")
    findings.figures.update(
        requests=f"{seen.accepted}/{len(seen.seen)} accepted",
        refusals=seen.refusals(),
        p99_ms=round(seen.p99_ms),
        slowest_s=round(seen.slowest_s, 2),
    )


def spoiled(
    ground: Ground, name: str, spoil: Callable[[FaultProxy], object], seconds: int
) -> float | None:
    """Spoil one link, heal it, and return the seconds until new work is done."""
    link = ground.links[name]
    spoil(link)
    sleep(seconds)
    link.heal()
    healed = now_ms()
    flood(ground, COUNT, 1)
    return first_effect_s(ground, healed, within_s=RESUME_S + 30)


DRILL = Drill(
    name="bad-network",
    promise="P4",
    does="the connections to the store and to the broker are stalled one way, lead "
    "into a black hole, are half open, cut, or slow, in turn, while people write and "
    "log in",
    rule=">= 99 % accepted, 0 lost, 0 doubled, the same worker works again within 60 s",
    run=run,
    full={"seconds": 5},
    links=("store", "broker"),
)
