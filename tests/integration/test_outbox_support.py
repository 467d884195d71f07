"""What people do to the outbox, on both databases: found, replayed, discarded once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from celery import Celery

from models.audit import AuditEntry
from models.base import database_now
from models.errors import Conflict, KeyReused, NotFound
from models.idempotency import Once, Replayed
from models.operation_ends import cancel_operation
from models.operation_work import NewOperation
from models.operations import find_view
from models.outbox import Outbox
from models.outbox_lease import Lease, begin, bury, claim
from tasks.base import OutboxTask
from tasks.work import Overtaken, Work
from tests.integration.journals import outbox_row
from web.services.outbox import OutboxService
from web.services.outbox_shapes import OutboxQuery

if TYPE_CHECKING:
    from tasks.app import Resources

lab = Celery("lab", set_as_current=False)
TASK = "lab.greet"
DEAD = OutboxQuery(state="dead")
LEASE = Lease(60_000, deaths=3)


@lab.task(base=OutboxTask, shared=False, name=TASK)
def greet(work: Work) -> None:
    """Finish the work and its operation."""
    with work.effect() as uow:
        work.succeed(uow, {"greeted": work.subject_id})


@pytest.fixture
def desk(house: Resources) -> OutboxService:
    return OutboxService(house.database, house.settings.journal)


def add(house: Resources, count: int = 1, *, task: str = TASK) -> list[str]:
    with house.database.unit_of_work() as work:
        return [work.enqueue(task, f"u_{n}") for n in range(count)]


def add_dead(house: Resources, count: int = 1, cause: str = "Busy -1") -> list[str]:
    ids = add(house, count)
    with house.database.unit_of_work() as work:
        for row_id in ids:
            bury(work.session, row_id, cause)
    return ids


def start(house: Resources) -> tuple[str, str]:
    """Start an operation; returns its id and its row's."""
    with house.database.unit_of_work() as work:
        view = work.start(NewOperation(kind="greet", task=TASK, user_id="u_1"))
        row_id = work.session.scalar(
            sa.select(Outbox.id).where(Outbox.operation_id == view.id)
        )
    assert row_id is not None
    return view.id, row_id


def kill(house: Resources, row_id: str) -> None:
    with house.database.unit_of_work() as work:
        assert not isinstance(begin(work.session, row_id, LEASE), str)
        bury(work.session, row_id, "WeChatRefused 40003")


def change(house: Resources, row_id: str, **values: object) -> None:
    with house.database.unit_of_work() as work:
        work.session.execute(
            sa.update(Outbox).where(Outbox.id == row_id).values(**values)
        )


def operation_state(house: Resources, operation_id: str) -> tuple[str, str | None]:
    with house.database.read() as session:
        view = find_view(session, operation_id)
    assert view is not None
    return view.state, None if view.error is None else view.error.reason


def acts(house: Resources) -> list[tuple[str, str, str | None]]:
    with house.database.read() as session:
        found = session.execute(
            sa.select(AuditEntry.act, AuditEntry.subject_id, AuditEntry.detail)
        )
        return sorted((act, subject, detail) for act, subject, detail in found)


def test_dead_work_really_runs_again_and_its_operation_with_it(
    house: Resources, desk: OutboxService
) -> None:
    operation_id, row_id = start(house)
    kill(house, row_id)
    assert operation_state(house, operation_id) == ("dead", "work_set_aside")

    item = desk.replay(row_id)

    assert (item.state, item.attempts, item.deaths) == ("ready", 0, 0)
    assert operation_state(house, operation_id) == ("accepted", None)
    assert greet(row_id) == "done"
    assert operation_state(house, operation_id) == ("succeeded", None)
    assert acts(house) == [("outbox.replay", row_id, None)]


def test_a_replay_is_due_at_once(house: Resources, desk: OutboxService) -> None:
    (row_id,) = add_dead(house)
    change(house, row_id, due_at=5, visible_at=5)

    desk.replay(row_id)

    with house.database.unit_of_work() as work:
        now = database_now(work.session)
        rows = claim(work.session, "maintenance", limit=9, resend_after_ms=1)
    assert [row.id for row in rows] == [row_id]
    assert now - rows[0].due_at < 60_000


def test_only_dead_work_is_replayed(house: Resources, desk: OutboxService) -> None:
    (ready,) = add(house)
    (done,) = add(house)
    greet(done)

    for row_id in (ready, done):
        with pytest.raises(Conflict) as error:
            desk.replay(row_id)
        assert error.value.reason == "state_forbids"
    with pytest.raises(NotFound):
        desk.replay("ob_nobody")
    assert acts(house) == []


def test_work_nobody_waits_for_is_not_replayed(
    house: Resources, desk: OutboxService
) -> None:
    operation_id, row_id = start(house)
    kill(house, row_id)
    with house.database.unit_of_work() as work:
        cancel_operation(work.session, operation_id)
    change(house, row_id, operation_id=operation_id)
    with house.database.unit_of_work() as work:
        work.session.execute(
            sa.text("UPDATE operations SET state = 'cancelled' WHERE id = :id"),
            {"id": operation_id},
        )

    with pytest.raises(Conflict):
        desk.replay(row_id)

    assert outbox_row(house, row_id).state == "dead"
    assert acts(house) == []


def test_two_people_replay_once(house: Resources, desk: OutboxService) -> None:
    for _ in range(5):
        (row_id,) = add_dead(house)

        def ask(_: int, row_id: str = row_id) -> str:
            try:
                return desk.replay(row_id).state
            except Conflict:
                return "refused"

        with ThreadPoolExecutor(4) as pool:
            answers = sorted(pool.map(ask, range(4)))
        assert answers == ["ready", "refused", "refused", "refused"]

    assert len(acts(house)) == 5


def test_an_attempt_that_was_overtaken_by_a_replay_has_no_effect(
    house: Resources, desk: OutboxService
) -> None:
    (row_id,) = add(house)
    with house.database.unit_of_work() as work:
        begun = begin(work.session, row_id, LEASE)
        assert not isinstance(begun, str)
    late = Work(TASK, begun, house)
    with house.database.unit_of_work() as work:
        bury(work.session, row_id, "by a person")
    desk.replay(row_id)
    with house.database.unit_of_work() as work:
        assert not isinstance(begin(work.session, row_id, LEASE), str)

    with pytest.raises(Overtaken), late.effect():
        pass

    assert outbox_row(house, row_id).state == "ready"


def test_many_come_back_at_the_rate_that_was_asked(
    house: Resources, desk: OutboxService
) -> None:
    add_dead(house, 250)
    others = add_dead(house, 3, cause="WeChatRefused 40003")

    told = desk.replay_many(
        OutboxQuery(state="dead", last_error_contains="Busy"), 230, 10.0
    )

    assert (told.replayed, told.remaining) == (230, 20)
    assert told.ids == sorted(told.ids)
    assert not set(told.ids) & set(others)
    times = [outbox_row(house, row_id).visible_at for row_id in told.ids]
    assert [at - times[0] for at in times] == [100 * n for n in range(230)]
    assert told.last_due_at == times[-1]
    with house.database.read() as session:
        now = database_now(session)
    assert abs(now - times[0]) < 60_000
    assert len(acts(house)) == 230

    rest = desk.replay_many(DEAD, 100, 10.0)
    assert (rest.replayed, rest.remaining) == (23, 0)


def test_a_filter_minds_case_wildcards_names_lanes_and_age(
    house: Resources, desk: OutboxService
) -> None:
    (first,) = add_dead(house, cause="Busy 100%")
    change(house, first, created_at=5, lane="sync", name="tasks.x.y")
    add_dead(house, cause="busy 100_")

    def found(**wanted: object) -> list[str]:
        query = OutboxQuery(state="dead", **wanted)  # type: ignore[arg-type]
        return [item.id for item in desk.page(query, None, 10).items]

    assert found(last_error_contains="Busy") == [first]
    assert found(last_error_contains="0%") == [first]
    assert len(found(last_error_contains="usy")) == 2
    assert found(lane="sync") == [first]
    assert found(name="tasks.x.y") == [first]
    assert found(created_before=6) == [first]
    assert found(created_before=5) == []


def test_discarded_work_ends_with_its_reason(
    house: Resources, desk: OutboxService
) -> None:
    operation_id, row_id = start(house)
    kill(house, row_id)

    assert desk.discard(row_id, "the user is gone").state == "discarded"

    assert operation_state(house, operation_id) == ("failed", "work_discarded")
    assert outbox_row(house, row_id).last_error == "WeChatRefused 40003"
    assert acts(house) == [("outbox.discard", row_id, "the user is gone")]
    with pytest.raises(Conflict):
        desk.discard(row_id, "again")
    assert greet(row_id) == "nothing"


def test_running_work_is_discarded_only_when_it_is_stuck(
    house: Resources, desk: OutboxService
) -> None:
    (row_id,) = add(house)
    with house.database.unit_of_work() as work:
        claim(work.session, "maintenance", limit=1, resend_after_ms=30_000)
    with house.database.unit_of_work() as work:
        begun = begin(work.session, row_id, LEASE)
        assert not isinstance(begun, str)
    late = Work(TASK, begun, house)

    with pytest.raises(Conflict):
        desk.discard(row_id, "too slow")

    with house.database.read() as session:
        past = database_now(session) - 31_000
    change(house, row_id, due_at=past)
    assert desk.discard(row_id, "too slow").state == "discarded"
    with pytest.raises(Overtaken), late.effect():
        pass
    assert outbox_row(house, row_id).state == "discarded"


def test_work_is_either_handed_to_celery_or_discarded(
    house: Resources, desk: OutboxService
) -> None:
    ids = add(house, 40)
    claimed: list[str] = []

    def relay() -> None:
        for _ in range(8):
            with house.database.unit_of_work() as work:
                rows = claim(
                    work.session, "maintenance", limit=5, resend_after_ms=30_000
                )
            claimed.extend(row.id for row in rows)

    with ThreadPoolExecutor(2) as pool:
        moving = pool.submit(relay)
        told = desk.discard_many(OutboxQuery(state="ready"), 40, "a race")
        moving.result()

    assert sorted(claimed + told.ids) == sorted(ids)
    states = {row_id: outbox_row(house, row_id).state for row_id in ids}
    assert {i for i, state in states.items() if state == "sent"} == set(claimed)


def test_many_are_given_up_by_filter(house: Resources, desk: OutboxService) -> None:
    dead = add_dead(house, 3)
    ready = add(house, 2)

    told = desk.discard_many(DEAD, 2, "tidied up")
    assert (told.discarded, told.remaining, told.ids) == (2, 1, sorted(dead)[:2])

    told = desk.discard_many(OutboxQuery(state="ready"), 10, "tidied up")
    assert sorted(told.ids) == sorted(ready)


def test_the_same_request_again_acts_on_no_other_rows(
    house: Resources, desk: OutboxService
) -> None:
    add_dead(house, 4)

    def asked(body: str) -> Once:
        return Once("admin", "POST /outbox/x", "key", body, "r_1", keep_s=60)

    desk.discard_many(DEAD, 1, "tidied up", asked("a"))
    with pytest.raises(Replayed):
        desk.discard_many(DEAD, 1, "tidied up", asked("a"))
    with pytest.raises(KeyReused):
        desk.discard_many(DEAD, 1, "other words", asked("b"))
    with pytest.raises(KeyReused):
        desk.replay_many(DEAD, 1, 1.0, asked("c"))

    assert len(desk.page(DEAD, None, 10).items) == 3
    assert len(acts(house)) == 1


def test_stuck_is_what_should_have_been_finished(
    house: Resources, desk: OutboxService
) -> None:
    old, sent, _fresh = add(house, 3)
    (dead,) = add_dead(house)
    with house.database.read() as session:
        past = database_now(session) - 31_000
    change(house, old, due_at=past)
    change(house, sent, due_at=past, state="sent")
    change(house, dead, due_at=past)

    items = desk.page(OutboxQuery(state="stuck"), None, 10).items

    assert {item.id for item in items} == {old, sent}
    assert {item.state for item in items} == {"ready", "sent"}


@pytest.mark.parametrize("state", [None, "dead"])
def test_pages_show_every_row_once(
    house: Resources, desk: OutboxService, state: str | None
) -> None:
    ids = add_dead(house, 7)
    # Rows of one moment must not be skipped or repeated where a page ends.
    for row_id in ids[:4]:
        change(house, row_id, updated_at=1_000)
    query = OutboxQuery(state=state)  # type: ignore[arg-type]

    seen: list[str] = []
    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        page = desk.page(query, cursor, 3)
        assert page.has_more is (page.next_cursor is not None)
        seen += [item.id for item in page.items]
        cursor, pages = page.next_cursor, pages + 1

    assert (pages, sorted(seen)) == (3, sorted(ids))
    assert state is not None or seen == sorted(ids, reverse=True)
