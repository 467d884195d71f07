"""The relay: both journals into Celery, and nothing lost when a store fails."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from config.clock import monotonic, sleep
from config.metrics.journals import OUTBOX_QUARANTINED
from config.queues import Queue
from models.events import Event, EventType
from models.outbox import Outbox
from tests.integration.journals import (
    WARM,
    enqueue,
    fetch,
    journal,
    look,
    make_login,
    outbox_row,
)
from workers.login_relay import ENRICH, LoginRound
from workers.outbox_relay import OutboxRound
from workers.relay_loop import BrokerAway

if TYPE_CHECKING:
    from prometheus_client import Counter

    from tasks.app import Resources

ROOT = Path(__file__).resolve().parents[2]
REPLAY = "tasks.logins.replay_login"


class Postbox:
    """A courier that keeps what it is given, while it takes anything."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str | list[str]]] = []
        self.message_ids: list[str | None] = []
        self.waiting = 0
        self.takes = 1_000_000

    def probe(self) -> None:
        """Answer."""

    def send(
        self, task: str, argument: str | list[str], message_id: str | None = None
    ) -> None:
        """Keep a message, or refuse it when enough were taken."""
        if len(self.sent) >= self.takes:
            raise BrokerAway
        self.sent.append((task, argument))
        self.message_ids.append(message_id)

    def count_waiting(self, queue: str) -> int:
        """Say what the test wants."""
        assert queue in set(Queue)
        return self.waiting


def logins_of(house: Resources, courier: Postbox, **settings: object) -> LoginRound:
    """Return the round of the login journal with changed settings."""
    changed = house.settings.journal.model_copy(update=settings)
    return LoginRound(house.stores.login_stream, courier, changed, consumer="one")


def outbox_of(house: Resources, courier: Postbox, **settings: object) -> OutboxRound:
    """Return the round of the outbox with changed settings."""
    changed = house.settings.journal.model_copy(update=settings)
    stores = house.database, house.stores
    return OutboxRound(stores, courier, changed, tasks=[WARM, REPLAY])


def counted(counter: Counter) -> float:
    """Return what a counter without labels says."""
    (family,) = counter.collect()
    return family.samples[0].value


def test_logins_travel_in_batches(house: Resources) -> None:
    journal(house, *[make_login(house, n) for n in range(25)])
    courier = Postbox()
    relay = logins_of(house, courier, batch=10, linger_ms=1)

    for _ in range(4):
        relay.run()

    assert [task for task, _ in courier.sent] == [ENRICH] * 3
    assert [len(ids) for _, ids in courier.sent] == [10, 10, 5]
    assert len({one for _, ids in courier.sent for one in ids}) == 25


def test_a_batch_waits_a_moment_to_fill(house: Resources) -> None:
    courier = Postbox()
    relay = logins_of(house, courier, linger_ms=60)
    journal(house, make_login(house, 1))
    start = monotonic()
    relay.run()

    assert monotonic() - start > 0.05
    assert len(courier.sent) == 1


def test_no_more_than_a_bounded_number_is_with_the_tasks(house: Resources) -> None:
    journal(house, *[make_login(house, n) for n in range(30)])
    courier = Postbox()
    relay = logins_of(house, courier, batch=10, logins_in_flight=15, linger_ms=1)

    for _ in range(5):
        relay.run()

    assert sum(len(ids) for _, ids in courier.sent) == 15
    house.stores.login_stream.acknowledge([str(i) for i in courier.sent[0][1]])
    relay.run()
    assert sum(len(ids) for _, ids in courier.sent) == 25


def test_logins_no_task_finished_are_sent_again(house: Resources) -> None:
    journal(house, *[make_login(house, n) for n in range(3)])
    entry_ids = fetch(house)
    courier = Postbox()
    sleep(0.01)
    relay = logins_of(house, courier, resend_after_s=0)

    relay.run()

    assert courier.sent[0] == (ENRICH, entry_ids)


def test_nothing_is_sent_again_into_a_full_queue(house: Resources) -> None:
    journal(house, make_login(house))
    fetch(house)
    courier = Postbox()
    courier.waiting = 1000

    logins_of(house, courier, resend_after_s=0).run()

    assert courier.sent == []


def test_a_wiped_redis_is_no_end(house: Resources) -> None:
    courier = Postbox()
    relay = logins_of(house, courier, linger_ms=1)
    relay.run()
    house.stores.redis.execute("FLUSHALL")
    journal(house, make_login(house))

    for _ in range(3):
        try:
            relay.run()
        except Exception:  # noqa: BLE001, S112 (the loop goes on after any failure)
            continue

    assert len(courier.sent) == 1


def test_outbox_rows_are_sent_once(house: Resources) -> None:
    row_ids = enqueue(house, count=5)
    courier = Postbox()
    relays = [outbox_of(house, courier, batch=3) for _ in range(2)]

    for relay in relays * 2:
        relay.run()

    assert sorted(courier.sent) == sorted((WARM, row_id) for row_id in row_ids)


def test_urgent_lanes_go_first_however_much_waits_elsewhere(house: Resources) -> None:
    enqueue(house, count=30)
    (urgent,) = enqueue(house, REPLAY)
    courier = Postbox()

    outbox_of(house, courier, batch=10).run()

    assert courier.sent[0] == (REPLAY, urgent)
    assert len(courier.sent) == 11


def test_a_queue_in_the_broker_stays_short(house: Resources) -> None:
    enqueue(house, count=30)
    courier = Postbox()
    courier.waiting = 95
    relay = outbox_of(house, courier, queue_depth=100)

    relay.run()
    courier.waiting = 100
    relay.run()

    assert len(courier.sent) == 5
    assert len(look(house, "SELECT id FROM outbox WHERE state = 'ready'")) == 25


def test_a_message_is_named_after_its_row_and_sending(house: Resources) -> None:
    (row_id,) = enqueue(house)
    courier = Postbox()
    for _ in range(2):
        outbox_of(house, courier).run()
        with house.database.unit_of_work() as work:
            work.session.get_one(Outbox, row_id).visible_at = 0

    assert courier.message_ids == [f"{row_id}.1", f"{row_id}.2"]


def test_a_row_whose_holders_died_is_quarantined_unsent(house: Resources) -> None:
    (row_id,) = enqueue(house)
    with house.database.unit_of_work() as work:
        row = work.session.get_one(Outbox, row_id)
        row.deaths, row.fence, row.holder_fence = 2, 3, 3
    courier = Postbox()
    before = counted(OUTBOX_QUARANTINED)

    outbox_of(house, courier).run()

    assert courier.sent == []
    assert outbox_row(house, row_id).last_error == "quarantined: 3 processes died of it"
    assert counted(OUTBOX_QUARANTINED) - before == 1


def test_an_event_becomes_one_row_for_each_subscriber(house: Resources) -> None:
    with house.database.unit_of_work() as work:
        work.publish(Event(EventType.PROFILE_UPDATED, "u_1"))
        work.publish(Event(EventType.LOGIN_ENRICHED, "u_1"))
    courier = Postbox()
    relay = outbox_of(house, courier)

    while relay.run():
        pass

    assert [task for task, _ in courier.sent] == [WARM]
    events = look(house, "SELECT state FROM outbox WHERE kind = 'event'")
    assert [row["state"] for row in events] == ["done", "done"]
    (row,) = look(house, "SELECT * FROM outbox WHERE kind = 'task'")
    assert (row["state"], row["subject_id"]) == ("sent", "u_1")


def test_work_nobody_knows_is_set_aside(house: Resources) -> None:
    (row_id,) = enqueue(house, "tasks.profile.gone")
    courier = Postbox()

    outbox_of(house, courier).run()

    assert courier.sent == []
    row = outbox_row(house, row_id)
    assert (row.state, row.last_error) == ("dead", "unknown task")


def test_attempts_end(house: Resources) -> None:
    killed, failing = enqueue(house, count=2)
    with house.database.unit_of_work() as work:
        for row_id, cause in ((killed, None), (failing, "WeChatTimeout")):
            row = work.session.get_one(Outbox, row_id)
            row.attempts, row.last_error = 5, cause
    courier = Postbox()

    outbox_of(house, courier, max_attempts=5).run()

    assert courier.sent == []
    assert "died" in (outbox_row(house, killed).last_error or "")
    assert outbox_row(house, failing).last_error == "WeChatTimeout"


def test_a_broker_that_fails_in_between_costs_nothing(house: Resources) -> None:
    row_ids = enqueue(house, count=6)
    courier = Postbox()
    courier.takes = 2
    relay = outbox_of(house, courier)
    with pytest.raises(BrokerAway):
        relay.run()
    courier.takes = 1_000_000

    relay.run()

    assert {row_id for _, row_id in courier.sent} == set(row_ids)
    assert all(outbox_row(house, row_id).attempts == 0 for row_id in row_ids)


def test_copies_become_rarer_the_longer_nobody_answers(house: Resources) -> None:
    (row_id,) = enqueue(house)
    courier = Postbox()
    relay = outbox_of(house, courier, resend_after_s=30)
    relay.run()
    with house.database.unit_of_work() as work:
        row = work.session.get_one(Outbox, row_id)
        row.due_at -= 120_000
        row.visible_at = row.due_at

    relay.run()

    row = outbox_row(house, row_id)
    waited = row.updated_at - row.due_at
    assert row.visible_at - row.updated_at == waited >= 120_000
