"""P5: kill and restart Redis again and again; workers consume without a restart."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from config.clock import now_ms, sleep
from tests.faults.checker import check
from tests.faults.drill import Drill, Findings
from tests.faults.drills.redis_freeze import first_effect_s
from tests.faults.keeper import Keeper
from tests.faults.loads.floods import flood
from tests.faults.task_names import COUNT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.faults.ground import Ground

WITHIN_S = 15
TAIL = 200


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Restart from the append-only file: whole, cut short, and an older copy of it."""
    waits: list[float | None] = []
    older = ground.stack.folder / "older"
    flood(ground, COUNT, 20)
    with Keeper(ground) as keeper:
        for number in range(counts["restarts"]):
            if number == 0:
                shutil.copytree(files_of(ground), older)
            flood(ground, COUNT, 20, payload="5")
            sleep(ground.random.uniform(0.1, 1.0))
            ground.redis.process.kill()
            damage(ground, number, older)
            ground.redis.start()
            back = now_ms()
            flood(ground, COUNT, 3)
            waits.append(first_effect_s(ground, back, within_s=WITHIN_S * 3))
            sleep(0.5)
    ground.wait_finished(120)
    verdict = check(ground)
    measured = [wait for wait in waits if wait is not None]
    verdict.longest_s = max(measured, default=None)
    findings.judge(verdict, late_after_s=WITHIN_S)
    never = len(waits) - len(measured)
    findings.expect(never == 0, f"{never} times nothing was consumed")
    ended = len(keeper.restarted)
    findings.expect(ended == 0, f"{ended} workers ended by themselves")
    findings.figures.update(
        restarts=len(waits),
        with_short_file=sum(n % 4 == 2 for n in range(len(waits))),
        with_older_file=sum(n % 4 == 3 for n in range(len(waits))),
        workers_ended_by_themselves=ended,
        consuming_again_s=f"median {sorted(measured)[len(measured) // 2]:.1f}, "
        f"longest {max(measured):.1f}"
        if measured
        else "never",
    )


def files_of(ground: Ground) -> Path:
    """Return the folder of the append-only file."""
    return ground.redis.folder / "appendonlydir"


def damage(ground: Ground, number: int, older: Path) -> None:
    """Leave the file as it is, cut its tail off, or put an older copy in its place."""
    if number % 4 == 2:
        newest = max(files_of(ground).glob("*.incr.aof"))
        with newest.open("r+b") as file:
            file.truncate(max(0, newest.stat().st_size - TAIL))
    elif number % 4 == 3:
        shutil.rmtree(files_of(ground))
        shutil.copytree(older, files_of(ground))


DRILL = Drill(
    name="redis-restarts",
    promise="P5",
    does="kill -9 of Redis and start from its append-only file: whole, with its tail "
    "cut off, and an older copy",
    rule="0 lost, 0 doubled, consuming again within 15 s each time, the same worker",
    run=run,
    full={"restarts": 20},
    smoke={"restarts": 4},
    processes=("relay", "worker"),
    redis={"appendonly": "yes", "appendfsync": "everysec"},
)
