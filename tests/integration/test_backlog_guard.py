"""A full lane turns new work away, with a wait; the count is cheap and forgives."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from config.queues import Queue
from models.database import Database, Nobody, open_database
from models.errors import DatabaseUnavailable, Unavailable
from models.outbox_lease import finish
from web.services.backlog_guard import BacklogGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.orm import Session

    from config.settings import Settings

EXPORT = "tasks.exports.build_export"
OTHER = "tasks.profile.warm_user_cache"
PATIENCE_S = 60


class SlowOnce(Database):
    """A database whose first reader waits until it is let go."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.engine, Nobody())
        self.begun, self.go = threading.Event(), threading.Event()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session, the first one late."""
        if not self.begun.is_set():
            self.begun.set()
            self.go.wait(PATIENCE_S)
        with super().read() as session:
            yield session


def fill(database: Database, task: str, count: int) -> list[str]:
    with database.unit_of_work() as work:
        return [work.enqueue(task, "op_1") for _ in range(count)]


def guard(
    database: Database, settings: Settings, *, most: int, **changes: float
) -> BacklogGuard:
    changed = settings.operations.model_copy(update=changes)
    return BacklogGuard(database, Queue.BULK, most, changed)


def test_the_limit_is_where_the_setting_says(
    database: Database, settings: Settings
) -> None:
    watched = guard(database, settings, most=3, backlog_fresh_s=0, backlog_wait_s=7)
    fill(database, OTHER, 5)
    rows = fill(database, EXPORT, 2)
    watched.check()

    rows += fill(database, EXPORT, 1)
    with pytest.raises(Unavailable) as refused:
        watched.check()

    assert (refused.value.reason, refused.value.retry_after_ms) == ("overloaded", 7000)
    with database.unit_of_work() as work:
        finish(work.session, rows[0])
    watched.check()


def test_one_count_serves_for_a_while(database: Database, settings: Settings) -> None:
    watched = guard(database, settings, most=1, backlog_fresh_s=600)
    watched.check()
    fill(database, EXPORT, 1)

    watched.check()
    with pytest.raises(Unavailable):
        guard(database, settings, most=1).check()


def test_a_count_that_failed_is_taken_again(
    make_settings: Callable[..., Settings],
) -> None:
    away = make_settings(DATABASE_URL="mysql+pymysql://k:k@127.0.0.1:1/k")
    watched = guard(open_database(away), away, most=1, backlog_fresh_s=600)

    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            watched.check()


def test_nobody_is_let_in_beside_the_first_count(
    database: Database, settings: Settings
) -> None:
    fill(database, EXPORT, 1)
    slow = SlowOnce(database)
    watched = guard(slow, settings, most=1)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(watched.check)
        assert slow.begun.wait(PATIENCE_S)
        try:
            with pytest.raises(Unavailable):
                watched.check()
        finally:
            slow.go.set()
        with pytest.raises(Unavailable):
            first.result(PATIENCE_S)
