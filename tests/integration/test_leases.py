"""Short leases on both databases: the living keep them, the hung and the dead do not.

No test here waits for a lease to run out: what has run out is written into the row.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery
from prometheus_client import REGISTRY

from config.clock import Deadline
from config.patience import under
from models.base import database_now
from models.database import open_database
from models.errors import DatabaseUnavailable
from models.outbox import Outbox
from models.outbox_lease import (
    Holding,
    Lease,
    begin,
    claim,
    finish,
    postpone,
    renew_held,
)
from tasks.app import _process
from tasks.base import OutboxTask
from tasks.leases import LeaseKeeper
from tasks.work import Work
from tests.integration.journals import outbox_row
from tests.integration.message_house import SEND
from tests.servers.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from models.database import Database
    from tasks.app import Resources
    from tests.integration.message_house import MessageHouse

LEASE_MS = 60_000
# Beats of a second.
LEASE_S, NEVER = 5, 3600
PATIENCE_S = 40
lab = Celery("leases", set_as_current=False)


def held(database: Database, *, lease_ms: int = LEASE_MS) -> Holding:
    """Accept work and begin it, as a process that lives or died."""
    with database.unit_of_work() as uow:
        row_id = uow.enqueue("lab.long", "u_1")
    with database.unit_of_work() as uow:
        row = begin(uow.session, row_id, Lease(lease_ms, deaths=3))
        assert isinstance(row, Outbox)
        return Holding(row.id, row.fence)


def renewed(database: Database, *holdings: Holding) -> set[Holding]:
    """Renew as a beat does; return what is held no more."""
    with database.unit_of_work() as uow:
        return renew_held(uow.session, holdings, LEASE_MS)


def look(database: Database, holding: Holding) -> Outbox:
    """Return the row as it is committed."""
    with database.read() as session:
        return session.get_one(Outbox, holding.row_id)


def run_out(database: Database, holding: Holding) -> None:
    """Let the lease have run out; the relay has not looked yet."""
    with database.unit_of_work() as uow:
        uow.session.get_one(Outbox, holding.row_id).visible_at = 1


def lease_left_ms(database: Database, holding: Holding) -> int:
    """Return for how long the row is out of the relay's reach."""
    with database.read() as session:
        row = session.get_one(Outbox, holding.row_id)
        return row.visible_at - database_now(session)


def not_renewed(cause: str) -> float:
    """Return how often a lease was not renewed."""
    name = "kuaida_leases_not_renewed_total"
    return REGISTRY.get_sample_value(name, {"cause": cause}) or 0.0


@contextmanager
def keeper(
    database: Database, *, lease_s: float = LEASE_S, most_s: float = NEVER
) -> Iterator[LeaseKeeper]:
    """Keep leases as a process does."""
    made = LeaseKeeper(database, lease_s=lease_s, most_s=most_s)
    yield made
    made.close()


def test_all_that_one_process_holds_is_renewed_at_once(database: Database) -> None:
    holdings = [held(database, lease_ms=-1) for _ in range(3)]

    assert renewed(database, *holdings) == set()

    for holding in holdings:
        assert lease_left_ms(database, holding) > 0
        assert look(database, holding).holder_fence == holding.fence
    with database.unit_of_work() as uow:
        assert claim(uow.session, "maintenance", limit=9, resend_after_ms=0) == []


def test_what_was_claimed_begun_anew_or_ended_is_not_taken_back(
    database: Database,
) -> None:
    claimed, overtaken, done, postponed, mine = (
        held(database, lease_ms=-1) for _ in range(5)
    )
    with database.unit_of_work() as uow:
        begin(uow.session, overtaken.row_id, Lease(LEASE_MS, deaths=3))
        finish(uow.session, done.row_id, done.fence)
        postpone(uow.session, postponed.row_id, 0, "a cause", postponed.fence)
        uow.session.get_one(Outbox, claimed.row_id).holder_fence = None
    everything = [claimed, overtaken, done, postponed, mine]
    before = {one: look(database, one).visible_at for one in everything}

    gone = renewed(database, *everything)

    assert gone == {claimed, overtaken, done, postponed}
    moved = {one for one in before if look(database, one).visible_at != before[one]}
    assert moved == {mine}


def test_a_row_in_a_transaction_is_not_waited_for(database: Database) -> None:
    busy, idle = held(database, lease_ms=-1), held(database, lease_ms=-1)

    with database.unit_of_work() as uow:
        finish(uow.session, busy.row_id, busy.fence)
        if database.engine.dialect.name == "sqlite":
            # It has one lock for all: the next beat tries again.
            with under(Deadline.after_ms(200)), pytest.raises(DatabaseUnavailable):
                renewed(database, busy, idle)
        else:
            assert renewed(database, busy, idle) == set()
            assert lease_left_ms(database, idle) > 0


def test_a_living_process_keeps_its_row_and_others_begin_what_it_ended(
    database: Database,
) -> None:
    with keeper(database) as keeping, keeping.keeping(holding := held(database)):
        for _ in range(3):
            run_out(database, holding)
            wait_until(
                lambda: lease_left_ms(database, holding) > 0,
                within_s=PATIENCE_S,
                what="the lease is renewed",
            )
        row = look(database, holding)
        assert (row.attempts, row.deaths, row.holder_fence) == (1, 0, holding.fence)
    run_out(database, holding)

    keeping.beat()

    with database.unit_of_work() as uow:
        (dead,) = claim(uow.session, "maintenance", limit=9, resend_after_ms=0)
    assert (dead.id, dead.deaths) == (holding.row_id, 1)


def test_work_that_hangs_is_not_renewed_for_ever(database: Database) -> None:
    before = not_renewed("too long")

    with (
        keeper(database, most_s=0.1) as keeping,
        keeping.keeping(holding := held(database)),
    ):
        wait_until(
            lambda: not_renewed("too long") > before,
            within_s=PATIENCE_S,
            what="the hanging work is let go",
        )
        run_out(database, holding)
        keeping.beat()
        assert look(database, holding).visible_at == 1
    assert not_renewed("too long") == before + 1


def test_while_the_database_is_away_each_beat_tries_again(
    make_settings: Callable[..., Settings],
) -> None:
    nowhere = open_database(
        make_settings(DATABASE_URL="mysql+pymysql://k:k@127.0.0.1:1/k")
    )
    before = not_renewed("database")

    with keeper(nowhere, lease_s=0.5) as keeping:
        keeping.beat()
        assert not_renewed("database") == before
        with keeping.keeping(Holding("ob_1", 1)):
            wait_until(
                lambda: not_renewed("database") >= before + 2,
                within_s=PATIENCE_S,
                what="two renewals have failed",
            )
    nowhere.dispose()


def test_short_work_costs_no_sql(make_settings: Callable[..., Settings]) -> None:
    nowhere = open_database(
        make_settings(DATABASE_URL="mysql+pymysql://k:k@127.0.0.1:1/k")
    )
    before = not_renewed("database")

    with keeper(nowhere, lease_s=NEVER) as keeping:
        for number in range(100):
            with keeping.keeping(Holding("ob_1", number)):
                keeping.beat()

    assert not_renewed("database") == before
    nowhere.dispose()


@pytest.fixture
def quick(house: Resources) -> Iterator[Resources]:
    """What tasks work with, and a lease of seconds."""
    with keeper(house.database) as keeping:
        _process._opened = replace(house, leases=keeping)
        yield house


def outlast(house: Resources, row_id: str) -> None:
    """Let the lease of a running row end, and wait until somebody renews it."""
    holding = Holding(row_id, outbox_row(house, row_id).fence)
    run_out(house.database, holding)
    wait_until(
        lambda: lease_left_ms(house.database, holding) > 0,
        within_s=PATIENCE_S,
        what="the running work is renewed",
    )


@lab.task(base=OutboxTask, shared=False, name="lab.long")
def long(work: Work) -> None:
    """Say nothing for several leases."""
    for _ in range(2):
        outlast(work.resources, work.outbox_id)
    assert long(work.outbox_id) == "held"


def test_a_silent_task_that_outlasts_its_lease_is_begun_once(quick: Resources) -> None:
    with quick.database.unit_of_work() as uow:
        row_id = uow.enqueue("lab.long", "u_1")

    assert long(row_id) == "done"

    row = outbox_row(quick, row_id)
    assert (row.state, row.attempts, row.deaths) == ("done", 1, 0)


def test_a_message_whose_call_outlasts_its_lease_is_not_given_up(
    messages: MessageHouse,
) -> None:
    message = messages.accept(messages.user())
    slow = SlowCall(messages, messages.outbox_id(message))
    messages.tasks.gateway.client(message.app_id)._caller._transport = slow

    with keeper(messages.tasks.database) as keeping:
        _process._opened = replace(messages.tasks, leases=keeping)
        slow.copy = lambda: messages.send(message)
        assert messages.send(message) == "done"

    assert slow.meanwhile == "held"
    assert messages.state(message) == "sent"
    assert len(messages.arrivals()) == 1


class SlowCall:
    """A transport whose answer comes when the lease of its message is over."""

    def __init__(self, house: MessageHouse, row_id: str) -> None:
        self._house, self._wechat, self._row_id = house, house.wechat, row_id
        self.copy: Callable[[], str] = str
        self.meanwhile = ""

    def request(self, method: str, path: str, **how: Any) -> Any:
        answer = self._wechat.request(method, path, **how)
        if path == SEND:
            outlast(self._house.tasks, self._row_id)
            self.meanwhile = self.copy()
        return answer

    def close(self) -> None:
        """Do nothing."""


def test_the_thread_ends_with_its_process_resources(database: Database) -> None:
    with keeper(database, lease_s=NEVER) as keeping, keeping.keeping(Holding("ob", 1)):
        thread = keeping._thread
        assert thread is not None
        assert thread.daemon

    assert not thread.is_alive()
