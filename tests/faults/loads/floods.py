"""Floods of tasks: outbox rows written by multi-row SQL, acknowledged by the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.queues import queue_of
from models.base import new_id

if TYPE_CHECKING:
    from tests.faults.ground import Ground

AT_ONCE = 1000
NOW = "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)"
# What every row has alike; the driver makes one statement of many rows only when each
# value is a parameter.
ALIKE = {"kind": "task", "subject_id": "drill", "state": "ready"} | dict.fromkeys(
    ("attempts", "sends", "deaths", "fence"), 0
)
TIMES = ("due_at", "visible_at", "created_at", "updated_at")
COLUMNS = ("id", "name", "lane", "payload", *ALIKE, *TIMES)
VALUES = ", ".join(f":{name}" for name in COLUMNS)
INSERT = f"INSERT INTO outbox ({', '.join(COLUMNS)}) VALUES ({VALUES})"  # noqa: S608 - our names


def flood(ground: Ground, name: str, count: int, payload: str = "0") -> list[str]:
    """Accept ``count`` pieces of work for the task ``name``; return their row ids."""
    lane = queue_of(name).value
    accepted: list[str] = []
    while len(accepted) < count:
        ids = [new_id("ob") for _ in range(min(AT_ONCE, count - len(accepted)))]
        times = dict.fromkeys(TIMES, ground.number(NOW))
        alike = {"name": name, "lane": lane, "payload": payload, **ALIKE, **times}
        rows = [{"id": one, **alike} for one in ids]
        ground.execute(INSERT, rows)
        ground.ledger.add("task", ids)
        accepted += ids
    return accepted
