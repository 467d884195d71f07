"""P22: full disks of Redis, logs and database in turn; no repair is needed."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from config.clock import monotonic, sleep
from tests.faults.alarms import Alarm
from tests.faults.checker import check
from tests.faults.disks import SmallDisk
from tests.faults.drill import Drill, Findings
from tests.faults.keeper import Keeper
from tests.faults.loads.floods import flood
from tests.faults.loads.load import Load
from tests.faults.loads.logins import Logins
from tests.faults.loads.patches import Patches
from tests.faults.task_names import COUNT
from tests.servers.stack import answers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.faults.ground import Ground

BACK_S = 60


def run(ground: Ground, findings: Findings, counts: Mapping[str, int]) -> None:
    """Move each part to a small disk, fill it, free it, and see it come back."""
    parts: dict[str, Callable[[SmallDisk], None]] = {
        "redis": lambda disk: move_redis(ground, disk),
        "logs": lambda disk: move_logs(ground, disk),
        "sql": lambda disk: move_sql(ground, disk),
    }
    folder = ground.stack.folder
    sizes = {"redis": 16, "logs": 2, "sql": 300}
    for part, move in parts.items():
        disk = SmallDisk(folder / f"disk-{part}", sizes[part])
        if not disk.mount():
            findings.notes.append(f"{part}: mounting is not allowed here, not run")
            continue
        try:
            move(disk)
            sleep(3)
            fill_and_free(ground, findings, part, disk, counts["seconds"])
        finally:
            ground.stack.folder = folder
            disk.free()
            sleep(1)
            disk.unmount()
    # A worker that ended held rows: they come back after their lease.
    ground.wait_finished(150)
    findings.judge(check(ground))


def fill_and_free(
    ground: Ground, findings: Findings, part: str, disk: SmallDisk, seconds: int
) -> None:
    """Write while the disk is full, then time the way back."""
    prefixes = {
        "redis": "kuaida_redis_failures_total",
        "sql": "kuaida_http_errors_total",
    }
    patches, logins, keeper = Patches(ground), Logins(ground), Keeper(ground)
    alarm = Alarm(ground, prefixes.get(part, "kuaida_log_"))
    with keeper, Load(patches, rate=8) as patched, Load(logins, rate=4) as logged:
        sleep(1)
        with alarm:
            disk.fill()
            sleep(seconds)
        disk.free()
        freed = monotonic()
        if not ground.mariadb.process.alive:
            # InnoDB ends the server itself when a rollback finds no room.
            ground.mariadb.start()
            keeper.restarted.append("mariadb")
        sleep(2)
        back_s = first_quiet_s(ground, freed)
        sleep(2)
    ground.wait_finished(60)
    seen = [*patched.tally.seen, *logged.tally.seen]
    wrong = [one for one in seen if one.status not in (200, 503)]
    findings.expect(not wrong, f"{part}: {[(o.status, o.reason) for o in wrong[:3]]}")
    findings.expect(
        back_s is not None and back_s <= BACK_S, f"{part}: not back within 60 s"
    )
    if part in prefixes:
        alarm.tell(findings)
    accepted = sum(one.status == 200 for one in seen)
    findings.figures[f"{part}_full_s"] = seconds
    findings.figures[f"{part}_accepted"] = f"{accepted}/{len(seen)}"
    findings.figures[f"{part}_refusals"] = {
        **patched.tally.refusals(), **logged.tally.refusals(),
    }  # fmt: skip
    findings.figures[f"{part}_task_done_after_s"] = back_s
    findings.figures[f"{part}_started_again"] = ", ".join(keeper.restarted) or "nothing"


def first_quiet_s(ground: Ground, freed: float) -> float | None:
    """Return the seconds from ``freed`` until a new task has gone all the way."""
    while monotonic() - freed < BACK_S:
        try:
            (row,) = flood(ground, COUNT, 1)
        except Exception:  # noqa: BLE001 - the database itself may still refuse
            sleep(1)
            continue
        query = "SELECT COUNT(*) FROM drill_effects WHERE outbox_id = :id"
        while monotonic() - freed < BACK_S:
            if ground.number(query, id=row):
                return round(monotonic() - freed, 1)
            sleep(0.2)
    return None


def move_redis(ground: Ground, disk: SmallDisk) -> None:
    """Start Redis again with its files on the disk."""
    ground.redis.stop()
    shutil.copytree(ground.redis.folder, disk.folder, dirs_exist_ok=True)
    ground.redis.process.command[ground.redis.process.command.index("--dir") + 1] = str(
        disk.folder
    )
    ground.redis.start()


def move_logs(ground: Ground, disk: SmallDisk) -> None:
    """Start the processes again with their output on the disk."""
    ground.stack.folder = disk.folder
    for name in list(ground.stack.running):
        ground.restart(name)
    url = f"{ground.stack.url('web')}/healthz"
    ground.stack.wait(lambda: answers(url), within_s=60, what="web answers")


def move_sql(ground: Ground, disk: SmallDisk) -> None:
    """Start the database again with its data on the disk."""
    server = ground.mariadb
    server.stop()
    shutil.copytree(server.folder / "data", disk.folder / "data")
    shutil.rmtree(server.folder / "data")
    (server.folder / "data").symlink_to(disk.folder / "data")
    server.start()


DRILL = Drill(
    name="full-disks",
    promise="P22",
    does="the disk of Redis's append-only file, of the logs and of the database is "
    "filled in turn while people write and log in, then freed",
    rule="200 or 503 meanwhile, nothing lost or doubled, back within 60 s without "
    "repair",
    run=run,
    full={"seconds": 12},
    processes=("wechat", "web", "ops", "relay", "worker"),
    redis={"appendonly": "yes", "appendfsync": "everysec"},
    own_sql=True,
)
