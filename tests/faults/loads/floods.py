"""Floods of tasks: outbox rows written by multi-row SQL, acknowledged by the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.queues import queue_of
from models.base import new_id

if TYPE_CHECKING:
    from tests.faults.ground import Ground

AT_ONCE = 1000
INSERT = (
    "INSERT INTO outbox (id, kind, name, lane, subject_id, payload, state, attempts, "
    "sends, deaths, fence, due_at, visible_at, created_at, updated_at) VALUES (:id, "
    "'task', :name, :lane, 'drill', :payload, 'ready', 0, 0, 0, 0, {now}, {now}, "
    "{now}, {now})"
).replace("{now}", "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)")


def flood(ground: Ground, name: str, count: int, payload: str = "0") -> list[str]:
    """Accept ``count`` pieces of work for the task ``name``; return their row ids."""
    lane = queue_of(name).value
    accepted: list[str] = []
    while len(accepted) < count:
        ids = [new_id("ob") for _ in range(min(AT_ONCE, count - len(accepted)))]
        rows = [
            {"id": one, "name": name, "lane": lane, "payload": payload} for one in ids
        ]
        ground.execute(INSERT, rows)
        ground.ledger.add("task", ids)
        accepted += ids
    return accepted
