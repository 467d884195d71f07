"""Work whose result nobody can use any more is given up, before it or within it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from celery import Celery

from config.clock import Deadline, sleep
from config.metrics.journals import OUTBOX_EXPIRED
from config.patience import bound_deadline
from models.base import database_now
from models.events import Event, EventType
from models.outbox import Outbox
from models.outbox_lease import claim
from models.users import User, ensure_user, update_profile
from tasks.base import OutboxTask
from tasks.work import Work
from tests.integration.journals import WARM, outbox_row
from tests.integration.test_relay import Postbox
from workers.outbox_relay import OutboxRound

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks.app import Resources

LANE = "maintenance"
lab = Celery("useful", set_as_current=False)
seen: list[Deadline | None] = []
rivals: list[Callable[[], None]] = []
letting_go: list[Callable[[], None]] = []


@lab.task(base=OutboxTask, shared=False, name="lab.slow")
def slow(work: Work) -> None:
    """Take longer than the result is of use, then try to write it."""
    seen.append(bound_deadline())
    if work.context.expires_at is not None:
        sleep(work.deadline.remaining_s() + 0.01)
    with work.effect() as uow:
        ensure_user(uow.session, "u_late", "app", 0)


@lab.task(base=OutboxTask, shared=False, name="lab.stuck")
def stuck(work: Work) -> None:
    """Write what a rival has locked."""
    rivals.pop()()
    try:
        with work.effect() as uow:
            update_profile(uow.session, work.subject_id, {"nickname": "late"})
    finally:
        letting_go.pop()()


def take_lock(link: sa.Connection) -> None:
    """Lock the user (SQLite: the file) until the body has ended."""
    letting_go.append(link.rollback)
    if link.dialect.name == "sqlite":
        link.exec_driver_sql("BEGIN IMMEDIATE")
    link.execute(sa.text("UPDATE users SET login_count = 7"))


@pytest.fixture
def house(workplace: Resources) -> Resources:
    """What tasks work with, without any user."""
    seen.clear()
    return workplace


def relay(house: Resources, courier: Postbox) -> OutboxRound:
    names = {"lab.slow", WARM}
    both = (house.database, house.stores)
    return OutboxRound(both, courier, house.settings.journal, tasks=names)


def enqueue(house: Resources, **how: float) -> str:
    with house.database.unit_of_work() as work:
        return work.enqueue("lab.slow", "u_1", **how)  # type: ignore[arg-type]


def begin_by_message(house: Resources) -> None:
    with house.database.unit_of_work() as work:
        claim(work.session, LANE, limit=10, resend_after_ms=30_000)


def expired() -> float:
    return OUTBOX_EXPIRED._value.get()  # type: ignore[no-any-return]


def test_the_relay_drops_what_is_of_no_use_any_more(house: Resources) -> None:
    vain, useful, must = (
        enqueue(house, useful_for_s=0.05),
        enqueue(house, useful_for_s=600),
        enqueue(house),
    )
    sleep(0.06)
    before, courier = expired(), Postbox()

    assert relay(house, courier).run()

    assert {argument for _, argument in courier.sent} == {useful, must}
    row = outbox_row(house, vain)
    assert (row.state, row.last_error) == (
        "cancelled",
        "nobody waits for this any more",
    )
    assert expired() == before + 1


def test_a_message_that_comes_too_late_does_not_begin_it(house: Resources) -> None:
    row_id = enqueue(house, useful_for_s=0.3)
    begin_by_message(house)
    sleep(0.31)
    before = expired()

    assert slow(row_id) == "expired"

    assert (seen, outbox_row(house, row_id).state) == ([], "cancelled")
    assert expired() == before + 1


def test_a_body_whose_time_is_up_writes_nothing_and_is_given_up(
    house: Resources,
) -> None:
    row_id = enqueue(house, useful_for_s=0.5)
    begin_by_message(house)
    before = expired()

    assert slow(row_id) == "expired"

    assert outbox_row(house, row_id).state == "cancelled"
    assert expired() == before + 1
    with house.database.read() as session:
        assert session.scalar(sa.text("SELECT COUNT(*) FROM users")) == 0


def test_a_body_that_hangs_in_sql_ends_when_it_is_of_no_use(
    house: Resources, database_url: str
) -> None:
    with house.database.unit_of_work() as work:
        ensure_user(work.session, "u_1", "app", 0)
        row_id = work.enqueue("lab.stuck", "u_1", useful_for_s=0.5)
    begin_by_message(house)
    side = sa.create_engine(database_url)
    with side.connect() as link:
        rivals.append(partial(take_lock, link))

        assert stuck(row_id) == "expired"

    side.dispose()
    assert outbox_row(house, row_id).state == "cancelled"
    with house.database.read() as session:
        assert session.get_one(User, "u_1").nickname is None


def test_work_that_must_happen_has_the_soft_limit_of_tasks_only(
    house: Resources,
) -> None:
    row_id = enqueue(house)
    begin_by_message(house)

    assert slow(row_id) == "done"

    (bound,) = seen
    assert bound is not None
    soft_s = house.settings.celery.soft_limit_s
    assert soft_s - 30 < bound.remaining_s() <= soft_s
    assert bound_deadline() is None


def test_the_time_of_use_begins_when_the_work_is_due(house: Resources) -> None:
    with house.database.unit_of_work() as work:
        due_at = database_now(work.session) + 60_000
        row_id = work.enqueue("lab.slow", "u_1", due_at=due_at, useful_for_s=5)

    assert outbox_row(house, row_id).expires_at == due_at + 5000


def test_only_the_cache_is_not_warmed_when_its_entry_has_lived_out(
    house: Resources,
) -> None:
    with house.database.unit_of_work() as work:
        ensure_user(work.session, "u_1", "app", 0)
        work.publish(Event(EventType.PROFILE_UPDATED, "u_1"))

    relay(house, Postbox()).run()

    with house.database.read() as session:
        (warm,) = session.scalars(sa.select(Outbox).where(Outbox.name == WARM))
        (event,) = session.scalars(sa.select(Outbox).where(Outbox.kind == "event"))
    life_ms = house.settings.journal.user_cache_s * 1000
    assert warm.expires_at == warm.created_at + life_ms
    assert event.expires_at is None
