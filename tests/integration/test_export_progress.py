"""A long export on both databases: followed, waited for, stopped, given up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from config.clock import Deadline, monotonic, sleep
from models.errors import Conflict, NotFound
from models.outbox import Outbox
from models.user_events import UserEvent
from tasks.app import configure, resources
from tests.integration.export_house import MANY, NO_LOGIN, USER, Exports, claims_of
from tests.servers.process import wait_until
from workers.outbox_relay import OutboxRound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from models.operations import OperationView

FAST = {
    "CHECKPOINT_S": "0.02",
    "EXPORT_PAGE": "200",
    "MAX_ATTEMPTS": "2",
    # What ends a wait is news, not a look by the clock.
    "EVENTS_POLL_S": "600",
    "ANSWER_RESERVE_MS": "5000",
}


class Nobody:
    """A courier nobody needs: what died is not sent."""

    def probe(self) -> None:
        """Answer."""

    def send(
        self, task: str, _: str | list[str], message_id: str | None = None
    ) -> None:
        """Refuse."""
        raise AssertionError((task, message_id))

    def count_waiting(self, _queue: str) -> int:
        """Say that there is room."""
        return 0


@pytest.fixture
def exports(
    database_url: str, redis_url: str, make_settings: Callable[..., Settings]
) -> Iterator[Exports]:
    urls = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    configure(make_settings(**urls, **FAST, **NO_LOGIN))
    made = Exports(resources())
    yield made
    made.close()
    made.house.close()


def changes(exports: Exports, operation: OperationView) -> list[tuple[str, int]]:
    """Return the states and percentages the user was told of, in their order."""
    with exports.house.database.read() as session:
        found = sa.select(UserEvent.data).where(UserEvent.type == "operation.updated")
        told = [json.loads(data) for data in session.scalars(found)]
    mine = [data for data in told if data["operation_id"] == operation.id]
    return [(data["state"], data["percent"]) for data in mine]


def middle(exports: Exports, operation: OperationView) -> OperationView:
    """Wait until some of the work is done."""
    until = monotonic() + 100
    while (seen := exports.look(operation)).percent < 10:
        assert seen.active
        assert monotonic() < until
        sleep(0.005)
    return seen


def test_percent_and_eta_show_the_way(exports: Exports) -> None:
    exports.give_logins(MANY)
    operation = exports.start()
    running = exports.run_beside(operation)

    seen = [middle(exports, operation)]
    while not running.done():
        seen.append(exports.look(operation))
        sleep(0.01)

    assert running.result() == "done"
    on_the_way = [view for view in seen if view.state == "running"]
    percents = [view.percent for view in on_the_way]
    assert percents == sorted(percents)
    assert len(set(percents)) > 3
    etas = [view.eta_ms for view in on_the_way]
    assert all(eta is not None and eta >= 0 for eta in etas)
    assert (etas[-1] or 0) < (etas[0] or 0)
    told = changes(exports, operation)
    assert told[:2] == [("accepted", 0), ("running", 0)]
    assert told[-1] == ("succeeded", 100)
    assert [percent for _, percent in told] == sorted(p for _, p in told)


def test_a_cancel_in_the_middle_stops_it_without_a_trace(exports: Exports) -> None:
    exports.give_logins(MANY)
    operation = exports.start()
    running = exports.run_beside(operation)
    middle(exports, operation)
    assert exports.pieces()

    cancelled = exports.operations.cancel(claims_of(), operation.id).operation

    assert cancelled.state == "cancelled"
    assert running.result(100) == "cancelled"
    assert exports.pieces() == []
    seen = exports.get(operation)
    assert (seen.state, seen.error and seen.error.reason) == ("cancelled",) * 2
    assert seen.result is None
    assert changes(exports, operation)[-1][0] == "cancelled"
    with pytest.raises(NotFound):
        exports.content(operation)
    assert exports.start().id != operation.id


def test_only_the_owner_cancels_and_only_what_goes_on(exports: Exports) -> None:
    operation = exports.start()
    for claims, name in ((claims_of("u_2"), operation.id), (claims_of(), "op_none")):
        with pytest.raises(NotFound):
            exports.operations.cancel(claims, name)
        with pytest.raises(NotFound):
            exports.operations.get(claims, name, 0, Deadline.after_ms(60_000))
    assert exports.run(operation) == "done"

    with pytest.raises(Conflict) as refused:
        exports.operations.cancel(claims_of(), operation.id)

    assert refused.value.reason == "state_forbids"
    assert exports.get(operation).state == "succeeded"
    assert exports.content(operation)


def test_a_wait_ends_with_the_work(exports: Exports) -> None:
    operation = exports.start()
    waiting = exports.pool.submit(exports.get, operation, 200_000)
    pool: Any = exports.house.database.engine.pool
    # Nobody keeps a connection while waiting.
    still = lambda: exports.hub.count(USER) and not pool.checkedout()  # noqa: E731
    wait_until(still, within_s=60, what="a wait without a connection")
    assert not waiting.done()
    assert exports.run(operation) == "done"
    ended = monotonic()

    assert waiting.result(250).state == "succeeded"
    assert monotonic() - ended < 60


@pytest.mark.parametrize(("wait_ms", "deadline_ms"), [(200, 60_000), (60_000, 5350)])
def test_a_wait_ends_with_the_patience(
    exports: Exports, wait_ms: int, deadline_ms: int
) -> None:
    operation = exports.start()
    deadline = Deadline.after_ms(deadline_ms)

    told = exports.operations.get(claims_of(), operation.id, wait_ms, deadline)

    assert told.operation.state == "accepted"
    assert not deadline.expired


def test_work_that_fails_again_and_again_shows_as_dead(exports: Exports) -> None:
    operation = exports.start()
    row_id = exports.message(operation)
    with exports.house.database.unit_of_work() as uow:
        row = uow.session.get_one(Outbox, row_id)
        row.attempts, row.visible_at = 2, 0

    house = exports.house
    stores, journal = (house.database, house.stores), house.settings.journal
    OutboxRound(stores, Nobody(), journal, tasks=["tasks.exports.build_export"]).run()

    seen = exports.get(operation)
    assert (seen.state, seen.error and seen.error.reason) == ("dead", "work_set_aside")
    assert changes(exports, operation)[-1][0] == "dead"


def test_work_that_kills_its_workers_shows_as_dead(exports: Exports) -> None:
    operation = exports.start()
    row_id = exports.message(operation)
    with exports.house.database.unit_of_work() as uow:
        row = uow.session.get_one(Outbox, row_id)
        row.deaths, row.holder_fence, row.fence, row.visible_at = 2, 2, 2, 0

    assert exports.run(operation) == "quarantined"

    seen = exports.get(operation)
    assert (seen.state, seen.error and seen.error.reason) == ("dead", "work_set_aside")
    assert exports.start(USER).id != operation.id
