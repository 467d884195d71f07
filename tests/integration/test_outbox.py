"""The outbox on both databases: committed with its cause, claimed once, never lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from config.queues import EVENTS, Queue
from models import inbox
from models.base import database_now
from models.events import Event, EventType
from models.outbox import Outbox
from models.outbox_lease import (
    Lease,
    begin,
    bury,
    finish,
    list_due_lanes,
    postpone,
    renew,
)
from models.outbox_lease import claim as claim_rows
from models.outbox_support import backlog, prune
from models.user_events import UserEvent
from models.users import User, ensure_user

if TYPE_CHECKING:
    from models.database import Database, UnitOfWork

TASK = "tasks.profile.anything"
BULK = "tasks.exports.anything"
LEASE = Lease(60_000, deaths=3)
AT_ONCE = Lease(-1, deaths=3)
RESEND_MS = 30_000


def add(database: Database, count: int = 1, due_in_ms: int = 0) -> list[str]:
    """Accept ``count`` pieces of work and return their ids."""
    with database.unit_of_work() as work:
        due_at = database_now(work.session) + due_in_ms
        return [work.enqueue(TASK, f"u_{n}", due_at=due_at) for n in range(count)]


def claim(
    database: Database,
    limit: int = 200,
    resend_ms: int = RESEND_MS,
    lane: str = Queue.SYNC,
) -> list[str]:
    """Claim once and return the ids."""
    with database.unit_of_work() as work:
        rows = claim_rows(work.session, lane, limit=limit, resend_after_ms=resend_ms)
        return [row.id for row in rows]


def begun(database: Database, row_id: str, lease: Lease = LEASE) -> Outbox | str:
    """Begin an attempt as a task does."""
    with database.unit_of_work() as work:
        return begin(work.session, row_id, lease)


def state(database: Database, row_id: str) -> Outbox:
    """Return the row as it is committed."""
    with database.read() as session:
        return session.get_one(Outbox, row_id)


def test_work_and_its_cause_share_one_commit(database: Database) -> None:
    def fail(work: UnitOfWork) -> None:
        ensure_user(work.session, "u_1", "app", 0)
        work.enqueue(TASK, "u_1")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.transact(fail)

    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Outbox)) == 0
        assert session.get(User, "u_1") is None


def test_two_relays_never_claim_the_same_row(database: Database) -> None:
    ids = add(database, 300)

    with ThreadPoolExecutor(6) as pool:
        claims = list(pool.map(lambda _: claim(database, 50), range(6)))

    claimed = [row_id for some in claims for row_id in some]
    assert len(claimed) == len(set(claimed))
    claimed += claim(database, 300)
    assert sorted(claimed) == sorted(ids)


def test_a_row_waits_for_its_time(database: Database) -> None:
    add(database, due_in_ms=60_000)
    due = add(database, due_in_ms=-1)

    assert claim(database) == due


def test_unfinished_work_is_claimed_again(database: Database) -> None:
    (row_id,) = add(database)

    assert claim(database, resend_ms=-1) == [row_id]
    assert claim(database) == [row_id]
    assert claim(database) == []


def test_attempts_count_work_begun_and_not_messages_sent(database: Database) -> None:
    (row_id,) = add(database)
    claim(database, resend_ms=-1)
    claim(database, resend_ms=-1)

    assert state(database, row_id).attempts == 0
    assert isinstance(begun(database, row_id), Outbox)
    assert state(database, row_id).attempts == 1


def test_a_lease_keeps_the_relay_away(database: Database) -> None:
    (row_id,) = add(database)
    claim(database, resend_ms=-1)

    assert isinstance(begun(database, row_id), Outbox)

    assert claim(database) == []


@pytest.mark.parametrize("cause", [None, "a cause"], ids=["finish", "bury"])
def test_closed_work_stays_closed(database: Database, cause: str | None) -> None:
    (row_id,) = add(database)
    claim(database, resend_ms=-1)

    with database.unit_of_work() as work:
        if cause is None:
            assert finish(work.session, row_id)
        else:
            assert bury(work.session, row_id, cause)
    assert begun(database, row_id) == "nothing"
    with database.unit_of_work() as work:
        assert not finish(work.session, row_id)

    assert claim(database) == []
    row = state(database, row_id)
    assert row.state == ("done" if cause is None else "dead")
    assert row.last_error == cause


def test_postponed_work_comes_back_with_its_cause(database: Database) -> None:
    (row_id,) = add(database)
    claim(database)

    with database.unit_of_work() as work:
        postpone(work.session, row_id, -1, "WeChat was away")

    assert state(database, row_id).last_error == "WeChat was away"
    assert claim(database) == [row_id]


def test_each_attempt_draws_a_higher_fence_and_only_the_newest_finishes(
    database: Database,
) -> None:
    (row_id,) = add(database)
    late = begun(database, row_id, AT_ONCE)
    newest = begun(database, row_id)
    assert isinstance(late, Outbox)
    assert isinstance(newest, Outbox)
    assert newest.fence > late.fence

    with database.unit_of_work() as work:
        assert not renew(work.session, row_id, late.fence, 60_000)
        assert not postpone(work.session, row_id, 0, "late", late.fence)
        assert not bury(work.session, row_id, "late", late.fence)
        assert not finish(work.session, row_id, late.fence)
        assert finish(work.session, row_id, newest.fence)
    row = state(database, row_id)
    assert (row.state, row.last_error) == ("done", None)


def test_work_that_somebody_holds_is_not_begun_again(database: Database) -> None:
    (row_id,) = add(database)

    assert isinstance(begun(database, row_id), Outbox)
    assert begun(database, row_id) == "held"
    with database.unit_of_work() as work:
        old = begin(work.session, row_id, LEASE, lost_message=f"{row_id}.7")
        taken_over = begin(work.session, row_id, LEASE, lost_message=f"{row_id}.0")
    assert old == "held"
    assert isinstance(taken_over, Outbox)
    assert (taken_over.attempts, taken_over.deaths) == (2, 1)


def test_work_whose_holder_fell_silent_is_begun_by_the_next_message(
    database: Database,
) -> None:
    (row_id,) = add(database)
    silent = begun(database, row_id, AT_ONCE)
    assert isinstance(silent, Outbox)

    assert claim(database) == [row_id]
    again = begun(database, row_id)

    assert isinstance(again, Outbox)
    assert (again.attempts, again.deaths) == (2, 1)


def test_work_whose_holder_died_is_not_made_to_wait_for_its_age(
    database: Database,
) -> None:
    (row_id,) = add(database, due_in_ms=-300_000)
    claim(database)
    begun(database, row_id, AT_ONCE)

    assert claim(database) == [row_id]

    row = state(database, row_id)
    assert row.visible_at - row.updated_at <= RESEND_MS


def test_a_message_lost_in_a_queue_that_is_read_does_not_wait_for_its_age(
    database: Database,
) -> None:
    (lost,) = add(database, due_in_ms=-300_000)
    claim(database, resend_ms=-1)
    assert claim(database, resend_ms=-1) == [lost]
    assert wait_of(database, lost) > RESEND_MS

    make_due(database, lost)
    (later,) = add(database, due_in_ms=1000)
    with database.unit_of_work() as work:
        assert finish(work.session, later)
    assert claim(database) == [lost]

    assert wait_of(database, lost) == RESEND_MS


def wait_of(database: Database, row_id: str) -> int:
    """Return how long the relay leaves the row alone after its last sending."""
    row = state(database, row_id)
    return row.visible_at - row.updated_at


def make_due(database: Database, row_id: str) -> None:
    """Let the relay look at the row again."""
    with database.unit_of_work() as work:
        work.session.get_one(Outbox, row_id).visible_at = 0


def test_a_slow_holder_that_comes_back_in_time_holds_again(database: Database) -> None:
    (row_id,) = add(database)
    slow = begun(database, row_id, AT_ONCE)
    assert isinstance(slow, Outbox)
    claim(database)

    with database.unit_of_work() as work:
        assert renew(work.session, row_id, slow.fence, 60_000)

    assert begun(database, row_id) == "held"
    with database.unit_of_work() as work:
        assert finish(work.session, row_id, slow.fence)


def test_work_that_kills_three_processes_is_quarantined(database: Database) -> None:
    (row_id,) = add(database)

    assert all(isinstance(begun(database, row_id, AT_ONCE), Outbox) for _ in range(3))
    assert begun(database, row_id, AT_ONCE) == "quarantined"

    row = state(database, row_id)
    assert (row.state, row.attempts) == ("dead", 3)
    assert row.last_error == "quarantined: 3 processes died of it"


def test_a_failure_that_was_told_is_no_death(database: Database) -> None:
    (row_id,) = add(database)
    for _ in range(4):
        row = begun(database, row_id)
        assert isinstance(row, Outbox)
        with database.unit_of_work() as work:
            assert postpone(work.session, row_id, 0, "WeChat was away", row.fence)

    assert (state(database, row_id).deaths, state(database, row_id).attempts) == (0, 4)


def test_lanes_are_claimed_apart(database: Database) -> None:
    (urgent,) = add(database)
    with database.unit_of_work() as work:
        bulk = [work.enqueue(BULK, "u_1") for _ in range(3)]
        ensure_user(work.session, "u_1", "app", 0)
        work.publish(Event(EventType.PROFILE_UPDATED, "u_1"))
    with database.read() as session:
        assert set(list_due_lanes(session)) == {Queue.SYNC, Queue.BULK, EVENTS}

    first = claim(database, lane=Queue.BULK, limit=2)
    assert claim(database) == [urgent]
    assert sorted(first + claim(database, lane=Queue.BULK)) == sorted(bulk)
    with database.read() as session:
        assert list_due_lanes(session) == [EVENTS]


def test_each_sending_is_counted(database: Database) -> None:
    (row_id,) = add(database)
    claim(database, resend_ms=-1)
    claim(database)

    assert state(database, row_id).sends == 2


def test_a_done_mark_is_set_once_under_rivals(database: Database) -> None:
    def mark(_: int) -> bool:
        try:
            with database.unit_of_work() as work:
                return inbox.mark_done(work.session, TASK, "message-1")
        except Exception:  # noqa: BLE001 - the losing rival may be rolled back
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(mark, range(8))) == 1


def test_events_of_a_user_are_numbered_without_gaps(database: Database) -> None:
    with database.unit_of_work() as work:
        ensure_user(work.session, "u_1", "app", 0)

    def publish(_: int) -> None:
        database.transact(
            lambda work: work.publish(Event(EventType.PROFILE_UPDATED, "u_1"))
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(publish, range(40)))

    with database.read() as session:
        numbers = session.scalars(
            sa.select(UserEvent.seq).order_by(UserEvent.seq)
        ).all()
        assert numbers == list(range(1, 41))
        kinds = session.scalars(sa.select(Outbox.kind)).all()
        assert kinds == ["event"] * 40


def test_backlog_tells_states_and_the_oldest(database: Database) -> None:
    add(database, 3, due_in_ms=-5000)
    claim(database, 1)

    with database.read() as session:
        found = backlog(session)

    assert found.by_state == {"ready": 2, "sent": 1}
    assert 4000 < found.oldest_ready_age_ms < 60_000


def test_old_closed_rows_go_and_dead_ones_stay(database: Database) -> None:
    done, dead, open_row = add(database, 3)
    with database.unit_of_work() as work:
        finish(work.session, done)
        bury(work.session, dead, "poison")
    with database.unit_of_work() as work:
        later = database_now(work.session) + 1000
        assert prune(work.session, before=later, limit=10) == 1

    with database.read() as session:
        left = set(session.scalars(sa.select(Outbox.id)))
    assert left == {dead, open_row}


def test_texts_of_any_script_survive(database: Database) -> None:
    with database.unit_of_work() as work:
        row_id = work.enqueue(TASK, "u_1", payload="快答 😀 \u0000x"[:6])

    assert state(database, row_id).payload == "快答 😀 \u0000x"[:6]
