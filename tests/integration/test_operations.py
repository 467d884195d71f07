"""Operations on both databases: joined, replaced, put off, cancelled, told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from models.base import database_now
from models.operation_ends import prune
from models.operation_files import OperationFile
from models.operations import Operation, revive, set_progress
from models.outbox import Outbox, WorkCancelled, WorkContext, WorkExpired
from models.outbox_lease import bury, claim, postpone
from models.users import User
from tests.integration.operation_house import APP, USER, Operations

if TYPE_CHECKING:
    from models.database import Database

HOUR_MS = 3_600_000


@pytest.fixture
def work(database: Database) -> Operations:
    return Operations(database)


def shift(work: Operations, operation_id: str, column: str, by_ms: int) -> None:
    """Move a time of an operation and its rows, instead of waiting."""
    with work.database.unit_of_work() as uow:
        for table, name in ((Operation, "id"), (Outbox, "operation_id")):
            if column not in table.__table__.c:
                continue
            moved = {column: table.__table__.c[column] + by_ms}
            mine = table.__table__.c[name] == operation_id
            uow.session.execute(sa.update(table).where(mine).values(moved))


def now(work: Operations) -> int:
    with work.database.read() as session:
        return database_now(session)


def test_an_operation_and_its_work_are_one_commit(work: Operations) -> None:
    operation = work.start()

    assert (operation.state, operation.percent) == ("accepted", 0)
    row = work.work_of(operation)
    assert (row.subject_id, row.lane, row.app_id) == (operation.id, "bulk", APP)
    assert work.row(operation).user_id == USER


def test_an_operation_never_moves_a_user_to_another_app(work: Operations) -> None:
    work.start()
    work.start(app_id=None)

    with work.database.read() as session:
        assert session.get_one(User, USER).app_id == APP


def test_a_child_belongs_to_the_app_of_its_parent(work: Operations) -> None:
    parent = work.start()
    child = work.start(work.context(parent), kind="part", app_id=None)

    assert work.row(child).app_id == APP
    assert work.work_of(child).app_id == APP


def test_without_a_key_each_request_is_its_own(work: Operations) -> None:
    assert work.start().id != work.start().id


def test_equal_requests_join_while_it_runs(work: Operations) -> None:
    first = work.start(equal_key=USER)
    work.begin(first)

    assert work.start(equal_key=USER).id == first.id
    assert work.start(equal_key="u_2").id != first.id
    assert work.start(equal_key=USER, kind="other").id != first.id
    assert work.succeed(first)
    assert work.start(equal_key=USER).id != first.id


def test_a_newer_request_takes_the_place(work: Operations) -> None:
    old = work.start(equal_key="k", mode="supersede")
    work.begin(old)
    child = work.start(work.context(old), kind="part")

    new = work.start(equal_key="k", mode="supersede")

    for gone in (old, child):
        seen = work.look(gone)
        assert (seen.state, seen.error and seen.error.reason) == (
            "cancelled",
            "superseded",
        )
    assert not work.succeed(old)
    assert work.look(new).state == "accepted"


def test_a_quiet_start_moves_with_each_request(work: Operations) -> None:
    first = work.start(equal_key="k", mode="debounce", quiet_ms=5000, payload="one")
    due = work.work_of(first).due_at
    shift(work, first.id, "due_at", -2000)

    again = work.start(equal_key="k", mode="debounce", quiet_ms=5000, payload="two")

    row = work.work_of(first)
    assert again.id == first.id
    assert (row.payload, row.state) == ("two", "ready")
    assert row.due_at >= due
    assert row.visible_at == row.due_at


def test_work_on_its_way_to_a_task_is_put_off_too(work: Operations) -> None:
    first = work.start(equal_key="k", mode="debounce", payload="one")
    with work.database.unit_of_work() as uow:
        claim(uow.session, "bulk", limit=9, resend_after_ms=30_000)

    work.start(equal_key="k", mode="debounce", quiet_ms=5000, payload="two")

    # The message that is out already comes before its time and is not taken.
    assert work.begin(first) == "early"
    row = work.work_of(first)
    assert (row.payload, row.state, row.attempts) == ("two", "ready", 0)
    shift(work, first.id, "due_at", -6000)
    assert isinstance(work.begin(first), Outbox)


def test_a_steady_stream_does_not_put_work_off_for_ever(work: Operations) -> None:
    first = work.start(equal_key="k", mode="debounce", quiet_ms=1000)
    shift(work, first.id, "created_at", -HOUR_MS)

    work.start(equal_key="k", mode="debounce", quiet_ms=1000)

    assert work.work_of(first).due_at <= now(work)


def test_what_has_begun_is_not_put_off_and_does_not_join(work: Operations) -> None:
    first = work.start(equal_key="k", mode="debounce", payload="one")
    work.begin(first)

    second = work.start(equal_key="k", mode="debounce", payload="two")

    assert second.id != first.id
    assert work.succeed(first)
    assert work.start(equal_key="k", mode="debounce").id == second.id


def test_the_newest_request_sets_the_deadline_of_quiet_work(work: Operations) -> None:
    at = now(work) + HOUR_MS
    first = work.start(equal_key="k", mode="debounce", expires_at=at)
    work.start(equal_key="k", mode="debounce", expires_at=at + HOUR_MS)

    assert work.row(first).expires_at == at + HOUR_MS
    assert work.work_of(first).expires_at == at + HOUR_MS


def test_a_cancel_reaches_everything_below(work: Operations) -> None:
    parent = work.start()
    work.begin(parent)
    child = work.start(work.context(parent), kind="part")
    work.begin(child)
    grandchild = work.start(work.context(child), kind="piece")
    done = work.start(work.context(parent), kind="done")
    work.begin(done)
    work.succeed(done)

    work.cancel(parent)

    assert [work.look(x).state for x in (parent, child, grandchild)] == [
        "cancelled"
    ] * 3
    assert work.look(done).state == "succeeded"
    assert [work.work_of(x).state for x in (parent, child, grandchild)] == [
        "cancelled"
    ] * 3
    assert work.begin(grandchild) == "nothing"
    for late in (parent, child):
        assert not work.succeed(late)
        with pytest.raises(WorkCancelled):
            work.start(work.context(late), kind="late")


def test_a_finished_operation_cannot_be_cancelled(work: Operations) -> None:
    operation = work.start()
    work.begin(operation)
    work.succeed(operation)

    seen = work.cancel(operation)

    assert seen is not None
    assert (seen.state, seen.percent, seen.result) == ("succeeded", 100, {"ok": True})


def test_the_earliest_deadline_above_counts(work: Operations) -> None:
    at = now(work) + HOUR_MS
    parent = work.start(expires_at=at)
    child = work.start(work.context(parent), expires_at=at + HOUR_MS)
    grandchild = work.start(work.context(child))

    for below in (child, grandchild):
        assert work.row(below).expires_at == at
        assert work.work_of(below).expires_at == at


def test_after_the_deadline_nothing_begins_and_nothing_is_started(
    work: Operations,
) -> None:
    parent = work.start(expires_at=now(work) + HOUR_MS)
    child = work.start(work.context(parent))
    work.begin(parent)
    for operation in (parent, child):
        shift(work, operation.id, "expires_at", -2 * HOUR_MS)

    assert work.begin(child) == "expired"
    with pytest.raises(WorkExpired):
        work.start(work.context(parent))
    seen = work.look(child)
    assert (seen.state, seen.error and seen.error.reason) == (
        "failed",
        "deadline_passed",
    )


def test_dead_work_shows_and_can_be_revived(work: Operations) -> None:
    operation = work.start(equal_key="k")
    begun = work.begin(operation)
    assert isinstance(begun, Outbox)
    with work.database.unit_of_work() as uow:
        set_progress(uow.session, operation.id, 60)
        bury(uow.session, begun.id, "KeyError", begun.fence)
    seen = work.look(operation)
    assert (seen.state, seen.error and seen.error.reason) == ("dead", "work_set_aside")
    assert work.start(equal_key="k").id != operation.id

    with work.database.unit_of_work() as uow:
        revive(uow.session, operation.id)
        row = uow.session.get_one(Outbox, begun.id)
        row.state, row.visible_at = "ready", 0

    # Its next attempt does everything again, so it is not 60 percent done.
    seen = work.look(operation)
    assert (seen.state, seen.error, seen.percent) == ("accepted", None, 0)
    assert isinstance(work.begin(operation), Outbox)
    assert work.succeed(operation)
    assert work.look(operation).state == "succeeded"


def test_a_postponed_attempt_keeps_what_was_told(work: Operations) -> None:
    operation = work.start()
    begun = work.begin(operation)
    assert isinstance(begun, Outbox)
    with work.database.unit_of_work() as uow:
        set_progress(uow.session, operation.id, 60)
        postpone(uow.session, begun.id, 1000, "TimeoutError", begun.fence)

    assert isinstance(work.begin(operation), Outbox)
    with work.database.unit_of_work() as uow:
        set_progress(uow.session, operation.id, 10)

    assert (work.look(operation).state, work.look(operation).percent) == ("running", 60)


def test_each_change_is_told_once_and_in_order(work: Operations) -> None:
    operation = work.start()
    work.begin(operation)
    with work.database.unit_of_work() as uow:
        set_progress(uow.session, operation.id, 40)
        set_progress(uow.session, operation.id, 40)
    work.succeed(operation)
    work.cancel(operation)

    told = [json.loads(data) for data in work.told()]
    assert {data["operation_id"] for data in told} == {operation.id}
    assert [(data["state"], data["percent"]) for data in told] == [
        ("accepted", 0),
        ("running", 0),
        ("running", 40),
        ("succeeded", 100),
    ]


def test_the_eta_follows_the_pace(work: Operations) -> None:
    operation = work.start()
    assert operation.eta_ms is None
    work.begin(operation)
    shift(work, operation.id, "started_at", -10_000)
    with work.database.unit_of_work() as uow:
        set_progress(uow.session, operation.id, 25)

    eta = work.look(operation).eta_ms
    assert eta is not None
    assert 30_000 <= eta < 60_000
    work.succeed(operation)
    assert work.look(operation).eta_ms is None


def test_an_operation_without_a_user_is_told_to_nobody(work: Operations) -> None:
    operation = work.start(user_id=None)
    work.begin(operation)
    work.succeed(operation)

    assert work.look(operation).state == "succeeded"
    assert work.told() == []


@pytest.mark.parametrize("end", ["cancel", "dead", "late"])
def test_an_end_without_success_leaves_no_file(work: Operations, end: str) -> None:
    operation = work.start(expires_at=now(work) + HOUR_MS)
    begun = work.begin(operation)
    assert isinstance(begun, Outbox)
    with work.database.unit_of_work() as uow:
        for part in range(3):
            uow.session.add(
                OperationFile(
                    operation_id=operation.id,
                    part=part,
                    body=b"sealed",
                    expires_at=now(work) + HOUR_MS,
                )
            )

    if end == "cancel":
        work.cancel(operation)
    elif end == "dead":
        with work.database.unit_of_work() as uow:
            bury(uow.session, begun.id, "KeyError", begun.fence)
    else:
        with work.database.unit_of_work() as uow:
            postpone(uow.session, begun.id, 0, "TimeoutError", begun.fence)
        shift(work, operation.id, "expires_at", -2 * HOUR_MS)
        assert work.begin(operation) == "expired"

    with work.database.read() as session:
        assert session.scalars(sa.select(OperationFile)).all() == []


def test_old_finished_operations_go_and_others_stay(work: Operations) -> None:
    gone, young, dead, given_up, running = (work.start() for _ in range(5))
    for operation in (gone, dead, given_up, running):
        shift(work, operation.id, "updated_at", -HOUR_MS)
    states = {gone: "failed", young: "succeeded", dead: "dead", given_up: "dead"}
    with work.database.unit_of_work() as uow:
        for operation, state in states.items():
            mine = Operation.id == operation.id
            uow.session.execute(sa.update(Operation).where(mine).values(state=state))
        rows = {dead.id: "dead", given_up.id: "discarded"}
        for operation_id, state in rows.items():
            its = Outbox.operation_id == operation_id
            uow.session.execute(sa.update(Outbox).where(its).values(state=state))

    before = now(work) - HOUR_MS // 2
    with work.database.unit_of_work() as uow:
        assert prune(uow.session, before=before, limit=9) == 2
    with work.database.read() as session:
        left = set(session.scalars(sa.select(Operation.id)))
    # A dead one waits for a person as long as its work does.
    assert left == {young.id, dead.id, running.id}


def test_a_context_without_an_operation_starts_a_root(work: Operations) -> None:
    operation = work.start(WorkContext("ob_1", APP))

    assert work.row(operation).parent_id is None
    assert work.work_of(operation).parent_id == "ob_1"
