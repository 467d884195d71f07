"""Queues and schedule for people, on both databases, with and without the stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from config.queues import EVENTS, LANES, Queue
from config.schedule import JOBS, SCHEDULE
from models.outbox_lease import bury, claim
from models.schedule import finish_slot, take_due
from models.schedule_support import ages_of_done
from models.stores.container import open_stores
from tests.conftest import NOWHERE
from web.services.queues import QueueService
from web.services.schedule import ScheduleService

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores

PREFIX = "k:test:"


def test_each_lane_tells_what_waits(database: Database, stores: Stores) -> None:
    with database.unit_of_work() as work:
        ids = [work.enqueue("tasks.exports.export_data", f"u_{n}") for n in range(4)]
    with database.unit_of_work() as work:
        claim(work.session, "bulk", limit=1, resend_after_ms=30_000)
        bury(work.session, ids[-1], "Busy -1")
    stores.redis.execute_many([("LPUSH", f"{PREFIX}bulk", "m")] * 3)

    queues = QueueService(database, stores, PREFIX).read(None, 100)

    assert queues.away == []
    assert [lane.lane for lane in queues.items] == [EVENTS, *Queue]
    by_name = {lane.lane: lane for lane in queues.items}
    bulk = by_name["bulk"]
    assert (bulk.ready, bulk.sent, bulk.dead, bulk.messages) == (2, 1, 1, 3)
    assert bulk.process == "bulk"
    assert bulk.oldest_due_age_ms is not None
    assert by_name["logins"].ready == 0
    assert by_name[EVENTS].messages is None


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_pages_together_are_the_whole(
    database: Database, stores: Stores, limit: int
) -> None:
    lanes = pages(QueueService(database, stores, PREFIX).read, limit)
    jobs = pages(ScheduleService(database).read, limit)

    assert [lane.lane for lane in lanes] == list(LANES)
    assert [line.job for line in jobs] == list(JOBS)


def pages(read: Callable[..., Any], limit: int) -> list[Any]:
    """Follow the pages to their end."""
    found: list[Any] = []
    cursor = None
    while True:
        page = read(cursor, limit)
        assert 0 < len(page.items) <= limit
        found += page.items
        cursor = page.next_cursor
        assert page.has_more == (cursor is not None)
        if cursor is None:
            return found


def test_a_store_that_is_away_is_named(
    database: Database, stores: Stores, make_settings: Callable[..., Settings]
) -> None:
    nowhere = open_stores(make_settings(REDIS_URL=NOWHERE, BROKER_URL=NOWHERE))
    queues = QueueService(database, nowhere, PREFIX).read(None, 100)
    nowhere.close()

    assert queues.away == ["redis"]
    assert {lane.messages for lane in queues.items} == {None}
    assert {lane.ready for lane in queues.items} == {0}


def test_the_schedule_tells_next_last_and_missed_runs(database: Database) -> None:
    job = JOBS["sweep_journals"]
    before = {
        line.job: line for line in ScheduleService(database).read(None, 100).items
    }
    assert set(before) == {job.name for job in SCHEDULE}
    assert before[job.name].last is None
    with database.read() as session:
        assert ages_of_done(session) == {}

    with database.unit_of_work() as work:
        (due,) = take_due(work, job).runs
    (line,) = [
        line
        for line in ScheduleService(database).read(None, 100).items
        if line.job == job.name
    ]
    assert line.last is not None
    assert (line.last.due, line.last.state) == (due, "taken")
    assert line.next_due == due + job.every_s * 1000
    assert line.last.outbox_id

    with database.unit_of_work() as work:
        finish_slot(work.session, line.last.outbox_id)
    with database.read() as session:
        ages = ages_of_done(session)
    assert set(ages) == {job.name}
    assert 0 <= ages[job.name] < job.every_s * 1000 + 10_000
