"""The clock on both databases: one run a slot whoever asks, and nothing in silence."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from config.clock import now_ms, sleep
from config.schedule import CatchUp, Job
from models.base import database_now
from models.outbox import Outbox
from models.outbox_lease import bury
from models.rivals import RIVAL_WROTE
from models.schedule import (
    MOST_CAUGHT_UP,
    MOST_RECORDED,
    ScheduleSlot,
    Taken,
    settle,
    take_due,
)
from models.schedule_support import lateness, list_jobs, prune

if TYPE_CHECKING:
    from models.database import Database, UnitOfWork

STEP_MS = 3_600_000
AHEAD_MS = 60_000
ONCE = Job("once", "tasks.maintenance.sweep_journals", 3600, CatchUp.ONCE)
EACH = ONCE._replace(name="each", catch_up=CatchUp.EACH)
SKIP = ONCE._replace(name="skip", catch_up=CatchUp.SKIP, late_s=3600)
NEVER = SKIP._replace(name="never", late_s=-1)


@pytest.fixture(autouse=True)
def amid_an_hour() -> None:
    """Begin where the hour lasts: with the next one another slot is due."""
    left_ms = STEP_MS - now_ms() % STEP_MS
    if left_ms < AHEAD_MS:
        sleep(left_ms / 1000 + 1)


def ask(database: Database, job: Job) -> Taken:
    """Ask what is due, as one message of beat does."""

    def take(uow: UnitOfWork) -> Taken:
        settle(uow.session, job.name)
        return take_due(uow, job)

    return database.transact(take)


def slots_of(database: Database, job: Job) -> list[ScheduleSlot]:
    """Return the job's slots, oldest first."""
    with database.read() as session:
        mine = sa.select(ScheduleSlot).where(ScheduleSlot.job == job.name)
        return list(session.scalars(mine.order_by(ScheduleSlot.due)))


def work_of(database: Database) -> list[Outbox]:
    """Return every outbox row."""
    with database.read() as session:
        return list(session.scalars(sa.select(Outbox).order_by(Outbox.id)))


def close_work(database: Database, state: str = "done") -> None:
    """End all work in ``state``."""
    with database.unit_of_work() as uow:
        uow.session.execute(sa.update(Outbox).values(state=state))


def sleep_through(database: Database, job: Job, slots: int) -> int:
    """Make the newest slot of the job the one of ``slots`` ago; return the newest."""
    with database.unit_of_work() as uow:
        now = database_now(uow.session)
        newest = now - now % STEP_MS
        uow.session.execute(sa.delete(ScheduleSlot))
        old = ScheduleSlot(
            job=job.name, due=newest - slots * STEP_MS, taken_at=1, state="done"
        )
        uow.session.add(old)
    return newest


def test_a_first_question_takes_the_newest_slot_and_makes_it_work(
    database: Database,
) -> None:
    taken = ask(database, ONCE)

    (slot,) = slots_of(database, ONCE)
    (work,) = work_of(database)
    assert (list(taken.runs), list(taken.missed)) == ([slot.due], [])
    assert slot.due % STEP_MS == 0
    assert 0 <= slot.taken_at - slot.due < STEP_MS
    assert (slot.state, slot.outbox_id, slot.finished_at) == ("taken", work.id, None)
    assert (work.name, work.subject_id) == (ONCE.task, f"once@{slot.due}")


def test_many_who_ask_at_once_make_one_run(database: Database) -> None:
    def beat(_: int) -> int:
        try:
            return len(ask(database, ONCE).runs)
        except RIVAL_WROTE:
            return 0

    with ThreadPoolExecutor(4) as pool:
        taken = sum(pool.map(beat, range(12)))

    assert taken == len(slots_of(database, ONCE)) == len(work_of(database)) == 1


def test_nothing_is_taken_while_a_run_is_open(database: Database) -> None:
    sleep_through(database, ONCE, 1)
    assert len(ask(database, ONCE).runs) == 1
    with database.unit_of_work() as uow:
        # Hours later, and no worker has run it.
        uow.session.execute(sa.update(ScheduleSlot).values(due=ScheduleSlot.due // 2))

    assert ask(database, ONCE) == Taken()
    assert len(work_of(database)) == 1
    close_work(database)
    assert len(ask(database, ONCE).runs) == 1


def test_once_runs_the_newest_and_records_the_others(database: Database) -> None:
    newest = sleep_through(database, ONCE, 5)

    taken = ask(database, ONCE)

    assert list(taken.runs) == [newest]
    assert list(taken.missed) == [newest - n * STEP_MS for n in (4, 3, 2, 1)]
    states = [slot.state for slot in slots_of(database, ONCE)]
    assert states == ["done", "missed", "missed", "missed", "missed", "taken"]
    assert len(work_of(database)) == 1


def test_each_runs_every_slot(database: Database) -> None:
    newest = sleep_through(database, EACH, 5)

    taken = ask(database, EACH)

    assert list(taken.runs) == [newest - n * STEP_MS for n in (4, 3, 2, 1, 0)]
    assert {row.subject_id for row in work_of(database)} == {
        f"each@{due}" for due in taken.runs
    }


def test_after_days_the_catching_up_is_bounded(database: Database) -> None:
    newest = sleep_through(database, EACH, 5_000)

    taken = ask(database, EACH)

    assert len(taken.runs) == MOST_CAUGHT_UP
    assert len(taken.runs) + len(taken.missed) == MOST_RECORDED
    assert taken.runs[-1] == newest


@pytest.mark.parametrize(("job", "runs"), [(SKIP, 1), (NEVER, 0)])
def test_skip_runs_only_what_is_not_too_late(
    database: Database, job: Job, runs: int
) -> None:
    sleep_through(database, job, 3)

    taken = ask(database, job)

    assert (len(taken.runs), len(taken.missed)) == (runs, 3 - runs)


@pytest.mark.parametrize(
    ("work", "slot"),
    [("done", "done"), ("dead", "failed"), ("discarded", "failed"), (None, "failed")],
)
def test_a_slot_ends_as_its_work_did(
    database: Database, work: str | None, slot: str
) -> None:
    ask(database, ONCE)
    with database.unit_of_work() as uow:
        if work is None:
            uow.session.execute(sa.delete(Outbox))
    if work is not None:
        close_work(database, work)

    ask(database, ONCE)

    first = slots_of(database, ONCE)[0]
    assert first.state == slot
    assert first.finished_at is not None


def test_slots_of_a_clock_that_was_ahead_do_not_silence_the_job(
    database: Database,
) -> None:
    newest = sleep_through(database, ONCE, 1)
    with database.unit_of_work() as uow:
        ahead = newest + 1000 * STEP_MS
        uow.session.add(
            ScheduleSlot(job="once", due=ahead, taken_at=ahead, state="done")
        )

    assert list(ask(database, ONCE).runs) == [newest]


def test_people_see_next_last_and_missed(database: Database) -> None:
    with database.read() as session:
        (before,) = list_jobs(session, [ONCE])
    assert before.last is None
    newest = sleep_through(database, ONCE, 3)
    with database.read() as session:
        (overdue,) = list_jobs(session, [ONCE])
    assert overdue.next_due == newest - 2 * STEP_MS
    assert overdue.overdue == 3
    assert 2 * STEP_MS <= overdue.late_ms < 4 * STEP_MS
    with database.read() as session:
        late = lateness(session, [ONCE, EACH])
    assert late["once"] >= overdue.late_ms
    ask(database, ONCE)
    with database.unit_of_work() as uow:
        (work,) = uow.session.scalars(sa.select(Outbox))
        bury(uow.session, work.id, "a cause")
        settle(uow.session, "once")

    with database.read() as session:
        (view,) = list_jobs(session, [ONCE])

    assert view.next_due == newest + STEP_MS
    assert (view.missed_24h, view.failed_24h) == (2, 1)
    assert (view.overdue, view.late_ms) == (0, 0)
    assert view.last is not None
    assert (view.last.due, view.last.state) == (newest, "failed")


def test_days_without_a_clock_are_told_in_full(database: Database) -> None:
    newest = sleep_through(database, ONCE, 5_000)

    with database.read() as session:
        (view,) = list_jobs(session, [ONCE])

    assert (view.overdue, view.next_due) == (5_000, newest - 4_999 * STEP_MS)


def test_a_house_that_is_new_has_missed_nothing(database: Database) -> None:
    taken = ask(database, NEVER)

    assert (list(taken.runs), list(taken.missed)) == ([], [])
    assert slots_of(database, NEVER) == []
    with database.read() as session:
        (view,) = list_jobs(session, [NEVER])
        assert lateness(session, [NEVER]) == {"never": 0}
        assert view.next_due > database_now(session)
    assert (view.missed_24h, view.overdue, view.late_ms) == (0, 0, 0)


def test_old_slots_go_in_bites(database: Database) -> None:
    newest = sleep_through(database, ONCE, 9)
    ask(database, ONCE)

    with database.unit_of_work() as uow:
        assert prune(uow.session, before=newest, limit=4) == 4
        assert prune(uow.session, before=newest, limit=9) == 5
        assert prune(uow.session, before=newest, limit=9) == 0

    assert [slot.due for slot in slots_of(database, ONCE)] == [newest]
