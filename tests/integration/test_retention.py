"""What is old goes in small bites, and what people may still need stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from models import inbox, logins, outbox_lease, outbox_support, paid_calls, user_events
from models.base import database_now
from models.events import Event, EventType
from models.inbox import Inbox
from models.logins import LoginEvent
from models.outbox import NewWork, Outbox
from models.paid_calls import PaidCall
from models.user_events import UserEvent
from models.users import ensure_user

if TYPE_CHECKING:
    from models.base import Base
    from models.database import Database

TASK = "tasks.profile.anything"
YEAR_MS = 365 * 24 * 3600 * 1000


def count(database: Database, table: type[Base]) -> int:
    with database.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def test_done_marks_go_in_bites(database: Database) -> None:
    with database.unit_of_work() as work:
        for n in range(5):
            assert inbox.mark_done(work.session, TASK, f"m{n}")
        assert not inbox.mark_done(work.session, TASK, "m0")
        later = database_now(work.session) + 1000

    with database.unit_of_work() as work:
        assert inbox.prune(work.session, before=later, limit=3) == 3
        assert inbox.prune(work.session, before=0, limit=3) == 0

    assert count(database, Inbox) == 2


def test_the_login_history_goes_after_its_time(database: Database) -> None:
    with database.unit_of_work() as work:
        for n in range(4):
            event = LoginEvent(
                id=f"lg_{n}", user_id="u", app_id="a", session_id="s", at=n
            )
            work.session.add(event)

    with database.unit_of_work() as work:
        assert logins.prune(work.session, before=3, limit=2) == 2
        assert logins.prune(work.session, before=3, limit=2) == 1
        assert logins.prune(work.session, before=3, limit=2) == 0

    assert count(database, LoginEvent) == 1


def test_old_events_of_users_go_and_numbers_go_on(database: Database) -> None:
    def publish() -> None:
        with database.unit_of_work() as work:
            ensure_user(work.session, "u_1", "wx1", 0)
            work.publish(Event(EventType.PROFILE_UPDATED, "u_1"))

    publish()
    publish()
    with database.unit_of_work() as work:
        later = database_now(work.session) + 1000
        assert user_events.prune(work.session, before=later, limit=9) == 2
        assert user_events.prune(work.session, before=later, limit=9) == 0
    publish()

    with database.read() as session:
        assert session.scalars(sa.select(UserEvent.seq)).all() == [3]


def test_the_ledger_of_billed_calls_goes_after_its_time(database: Database) -> None:
    with database.unit_of_work() as work:
        for n in range(4):
            call = PaidCall(id=f"pc_{n}", app_id="a", user_id="u", kind="phone")
            call.state, call.cost_fen, call.at = "charged", 3, n
            work.session.add(call)

    with database.unit_of_work() as work:
        assert paid_calls.prune(work.session, before=3, limit=2) == 2
        assert paid_calls.prune(work.session, before=3, limit=2) == 1

    assert count(database, PaidCall) == 1


def test_poison_is_dead_from_the_start_and_never_pruned(database: Database) -> None:
    with database.unit_of_work() as work:
        row_id = outbox_support.add_dead(work.session, NewWork(TASK, "u_1"), "x" * 900)
    with database.unit_of_work() as work:
        later = database_now(work.session) + YEAR_MS
        assert (
            outbox_lease.claim(work.session, "maintenance", limit=9, resend_after_ms=0)
            == []
        )
        assert outbox_support.prune(work.session, before=later, limit=9) == 0

    with database.read() as session:
        row = session.get_one(Outbox, row_id)
        assert (row.state, row.last_error) == ("dead", "x" * 500)
