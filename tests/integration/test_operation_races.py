"""Two who act on one operation at the same moment: exactly one of them wins."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Barrier
from typing import TYPE_CHECKING, TypeVar

import pytest

from models.errors import DatabaseUnavailable
from models.operation_work import Mode, NewOperation
from models.operations import Operation, OperationView, set_progress
from models.outbox import Outbox, WorkCancelled
from tests.integration.operation_house import APP, TASK, USER, Operations

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.database import Database
    from models.outbox import WorkContext

T = TypeVar("T")
ROUNDS = 15


@pytest.fixture
def work(database: Database) -> Operations:
    return Operations(database)


def at_once(*acts: Callable[[], object]) -> list[object]:
    """Run ``acts`` in threads that start together; return what each gave."""
    gate = Barrier(len(acts))

    def run(act: Callable[[], object]) -> object:
        gate.wait()
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [told.result() for told in [pool.submit(run, act) for act in acts]]


def start(work: Operations, key: str, mode: Mode = "join") -> str:
    """Start as a request does: again after a deadlock."""
    wanted = NewOperation(
        kind="export", task=TASK, user_id=USER, app_id=APP, equal_key=key, mode=mode
    )
    return work.database.transact(lambda uow: uow.start(wanted)).id


def test_equal_starts_at_the_same_moment_are_one(work: Operations) -> None:
    for n in range(ROUNDS):
        ids = at_once(*[partial(start, work, f"k{n}")] * 5)
        assert len(set(ids)) == 1


@pytest.mark.parametrize("mode", ["supersede", "debounce"])
def test_rival_starts_leave_one_active(work: Operations, mode: Mode) -> None:
    for n in range(ROUNDS):
        ids = at_once(*[partial(start, work, f"k{n}", mode)] * 4)
        with work.database.read() as session:
            rows = [session.get_one(Operation, str(one)) for one in set(ids)]
        assert min(row.state for row in rows) == "accepted"
        assert [row.state for row in rows].count("accepted") == 1


def test_cancel_and_finish_never_both_win(work: Operations) -> None:
    ends = set()
    for _ in range(ROUNDS):
        operation = work.start()
        work.begin(operation)

        seen, finished = at_once(
            partial(work.cancel, operation),
            partial(repeated, partial(work.succeed, operation)),
        )

        end = work.look(operation).state
        ends.add(end)
        assert end == ("succeeded" if finished else "cancelled")
        assert seen is not None
        assert work.work_of(operation).state == ("done" if finished else "cancelled")
        told = [data for data in work.told() if operation.id in data]
        assert len(told) == 3
    assert ends <= {"succeeded", "cancelled"}


def test_cancel_and_begin_agree(work: Operations) -> None:
    for _ in range(ROUNDS):
        operation = work.start()

        _, begun = at_once(
            partial(work.cancel, operation), partial(work.begin, operation)
        )

        assert work.look(operation).state == "cancelled"
        if isinstance(begun, Outbox):
            assert not work.succeed(operation)
        assert work.work_of(operation).state == "cancelled"


def test_a_child_of_a_dying_parent_dies_with_it_or_never_lives(
    work: Operations,
) -> None:
    for _ in range(ROUNDS):
        parent = work.start()
        work.begin(parent)
        bear = partial(born, work, work.context(parent))

        told = at_once(partial(work.cancel, parent), bear, bear)

        for child in told[1:]:
            if isinstance(child, OperationView):
                assert work.look(child).state == "cancelled"
                assert work.begin(child) == "nothing"


def test_progress_and_cancel_do_not_block_each_other(work: Operations) -> None:
    for _ in range(ROUNDS):
        parent = work.start()
        child = work.start(work.context(parent), kind="part")
        for operation in (parent, child):
            work.begin(operation)

        at_once(
            partial(work.cancel, parent),
            partial(repeated, partial(push, work, parent)),
            partial(repeated, partial(push, work, child)),
        )

        assert work.look(parent).state == work.look(child).state == "cancelled"


def born(work: Operations, context: WorkContext) -> OperationView | None:
    """Start a child, unless its parent is over."""
    with suppress(WorkCancelled):
        return repeated(lambda: work.start(context, kind="part"))
    return None


def push(work: Operations, operation: OperationView) -> None:
    """Tell progress as a checkpoint does."""
    with work.database.unit_of_work() as uow:
        set_progress(uow.session, operation.id, 50)


def repeated(act: Callable[[], T]) -> T:
    """Do what the relay does with an attempt that met a deadlock: again."""
    for _ in range(4):
        with suppress(DatabaseUnavailable):
            return act()
    return act()
