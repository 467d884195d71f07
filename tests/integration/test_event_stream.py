"""The tail of user events in a real Redis, and the hub that follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from config.clock import Deadline, monotonic
from models import user_events
from models.database import open_database
from models.errors import RedisUnavailable
from models.events import Event, EventType
from models.stores.container import open_stores
from models.user_events import NumberedEvent, UserEvent, read_after
from models.users import ensure_user
from web.services.event_hub import EventHub
from web.services.listeners import Listener

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores
    from tests.servers.redis_server import RedisServer

PATIENCE_S = 60.0
USER = "u_1"


def event(seq: int, user_id: str = USER) -> NumberedEvent:
    return NumberedEvent(user_id, seq, "profile.updated", 1000, '{"a": "小快"}')


def read_some(stores: Stores) -> Sequence[NumberedEvent]:
    """Read until something comes."""
    until = monotonic() + PATIENCE_S
    while monotonic() < until:
        if found := stores.event_stream.read():
            return found
    pytest.fail("nothing came")


# The stream


def test_what_is_announced_is_read_from_now_on(stores: Stores) -> None:
    stores.announce([event(1)])
    assert stores.event_stream.read() == []
    many = [event(seq) for seq in range(2, 252)]
    stores.announce(many)

    assert list(read_some(stores)) == many


def test_the_tail_is_capped_and_ends(stores: Stores, settings: Settings) -> None:
    for seq in range(3 * settings.events.tail_length):
        stores.announce([event(seq)])

    length = stores.redis.execute("XLEN", stores.keys.events)
    assert length < 2 * settings.events.tail_length
    assert 0 < stores.redis.execute("TTL", stores.keys.events) <= 600


def test_an_entry_of_another_make_is_passed_over(stores: Stores) -> None:
    stores.event_stream.read()
    stores.redis.execute("XADD", stores.keys.events, "*", "e", "[[1]]")
    stores.redis.execute("XADD", stores.keys.events, "*", "other", "x")
    stores.announce([event(7)])

    assert list(read_some(stores)) == [event(7)]


def test_a_wiped_redis_with_an_older_clock_is_followed(stores: Stores) -> None:
    stores.redis.execute("XADD", stores.keys.events, "99999999999999-0", "e", "[]")
    stores.event_stream.read()
    stores.redis.execute("FLUSHALL")
    stores.event_stream.read()
    stores.announce([event(1)])

    assert list(read_some(stores)) == [event(1)]


def test_without_redis_reading_says_so_and_announcing_is_silent(
    private_redis: RedisServer, make_settings: Callable[..., Settings]
) -> None:
    stores = open_stores(make_settings(REDIS_URL=private_redis.url))
    stores.event_stream.read()
    private_redis.stop()

    stores.announce([event(1)])
    with pytest.raises(RedisUnavailable):
        stores.event_stream.read()
    private_redis.start()
    assert stores.event_stream.read() == []
    stores.close()


# Reading SQL


@pytest.fixture
def publish(database: Database) -> Callable[[int], None]:
    def act(times: int) -> None:
        for _ in range(times):
            with database.unit_of_work() as work:
                ensure_user(work.session, USER, "wx1", 1)
                work.publish(Event(EventType.PROFILE_UPDATED, USER, {"a": "小快"}))

    return act


def after(database: Database, cursor: int, limit: int = 100) -> tuple[list[int], str]:
    with database.read() as session:
        found = read_after(session, USER, cursor, limit)
    return [event.seq for event in found.events], found.lost


def test_events_after_any_cursor(
    database: Database, publish: Callable[[int], None]
) -> None:
    assert after(database, 0) == ([], "")
    assert after(database, 1) == ([], "ahead")
    publish(5)

    assert after(database, 0) == ([1, 2, 3, 4, 5], "")
    assert after(database, 3) == ([4, 5], "")
    assert after(database, 1, limit=2) == ([2, 3], "")
    assert after(database, 5) == ([], "")
    assert after(database, 6) == ([], "ahead")


def test_pruned_events_are_too_old_and_a_hole_ends_a_page(
    database: Database, publish: Callable[[int], None]
) -> None:
    publish(5)
    with database.unit_of_work() as work:
        for seq in (1, 3):
            work.session.delete(work.session.get_one(UserEvent, (USER, seq)))

    assert after(database, 0) == ([], "too_old")
    assert after(database, 1) == ([2], "")
    assert after(database, 2) == ([], "too_old")
    assert after(database, 3) == ([4, 5], "")
    with database.unit_of_work() as work:
        user_events.prune(work.session, before=2**52, limit=99)
    assert after(database, 4) == ([], "too_old")
    assert after(database, 5) == ([], "")


# The hub over both


@pytest.fixture
def hub(stores: Stores, settings: Settings, database: Database) -> Iterator[EventHub]:
    # Neither poll may help: what arrives has come through Redis.
    slow = settings.events.model_copy(update={"poll_s": 600.0, "away_poll_s": 600.0})
    chosen = settings.model_copy(update={"events": slow})
    opened = EventHub(chosen, stores.event_stream, database)
    yield opened
    opened.close()


def test_a_commit_of_another_process_is_heard_through_redis(
    hub: EventHub, settings: Settings, stores: Stores
) -> None:
    writer = open_database(settings, stores)
    listener = Listener(USER, 0)
    hub.add(listener)
    until = Deadline.after_ms(PATIENCE_S * 1000)
    told: list[NumberedEvent] = []
    # The reader begins at the end of the tail: the first may come before it.
    while not told and not until.expired:
        with writer.unit_of_work() as work:
            ensure_user(work.session, USER, "wx1", 1)
            work.publish(Event(EventType.PROFILE_UPDATED, USER, {"a": "小快"}))
        listener.wait(1)
        told = list(listener.take(100))
        if listener.behind:
            with writer.read() as session:
                listener.catch_up(read_after(session, USER, listener.cursor, 100))
    hub.remove(listener)
    writer.dispose()

    assert told[0].data == '{"a": "小快"}'


def test_waiting_for_something_ends_with_the_commit_that_brings_it(
    hub: EventHub, settings: Settings, stores: Stores
) -> None:
    writer = open_database(settings, stores)
    stores.event_stream.read()

    def look() -> int | None:
        # The first look finds nothing; what it does is heard through Redis.
        with writer.unit_of_work() as work:
            ensure_user(work.session, USER, "wx1", 1)
            work.publish(Event(EventType.PROFILE_UPDATED, USER))
        with writer.read() as session:
            head = read_after(session, USER, 0, 100).head
        return head if head > 1 else None

    deadline = Deadline.after_ms(PATIENCE_S * 1000)
    assert hub.wait_for(USER, look, deadline) == 2
    assert not deadline.expired
    writer.dispose()
