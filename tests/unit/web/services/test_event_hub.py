"""The hub over a tail in memory and SQLite: who is told, when, and when not."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

import pytest

from config.clock import Deadline
from models.database import Database, open_database
from models.errors import RedisUnavailable
from models.events import Event, EventType
from models.tables import METADATA
from models.user_events import NumberedEvent
from models.users import ensure_user
from web.services.event_hub import EventHub
from web.services.listeners import Listener

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from config.settings import Settings

LONG = 20_000
USER = "u_1"


class MemoryTail:
    """The tail of one process; hears of commits as Redis would, unless cut."""

    def __init__(self) -> None:
        self.away = False
        self.loses = False
        self._events: queue.Queue[list[NumberedEvent]] = queue.Queue()

    def wake_relay(self) -> None:
        """No relay here."""

    def announce(self, events: Sequence[NumberedEvent]) -> None:
        if not (self.away or self.loses):
            self._events.put(list(events))

    def read(self) -> list[NumberedEvent]:
        if self.away:
            raise RedisUnavailable
        try:
            return self._events.get(timeout=0.02)
        except queue.Empty:
            return []


class Leaver:
    """A line that is told to go."""

    def __init__(self) -> None:
        self.gone = self.leaves = False

    def leaving(self) -> bool:
        return self.leaves

    def hung_up(self) -> bool:
        return self.gone


@pytest.fixture
def tail() -> MemoryTail:
    return MemoryTail()


@pytest.fixture
def sqlite(settings: Settings, tail: MemoryTail) -> Iterator[Database]:
    opened = open_database(settings, tail)
    METADATA.create_all(opened.engine)
    yield opened
    opened.dispose()


@pytest.fixture
def make_hub(
    make_settings: Callable[..., Settings], tail: MemoryTail, sqlite: Database
) -> Iterator[Callable[..., EventHub]]:
    hubs: list[EventHub] = []

    def make(**variables: str) -> EventHub:
        chosen = make_settings(**variables).events
        hubs.append(EventHub(chosen, tail, sqlite))
        return hubs[-1]

    yield make
    for hub in hubs:
        hub.close()


@pytest.fixture
def publish(sqlite: Database) -> Callable[..., None]:
    def act(user: str = USER) -> None:
        with sqlite.unit_of_work() as work:
            ensure_user(work.session, user, "wx1", 1)
            work.publish(Event(EventType.PROFILE_UPDATED, user))

    return act


def in_thread(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_a_commit_reaches_who_waits_for_that_user(
    make_hub: Callable[..., EventHub], publish: Callable[..., None]
) -> None:
    hub = make_hub(EVENTS_AWAY_POLL_S="60")
    listener = Listener(USER, 0)
    hub.add(listener)
    publish("u_2")
    publish()
    listener.wait(LONG / 1000)

    (told,) = listener.take(100)
    assert (told.user_id, told.seq, told.type) == (USER, 1, "profile.updated")
    hub.remove(listener)
    assert hub.count(USER) == 0


@pytest.mark.parametrize("fault", ["away", "loses"])
def test_what_the_tail_does_not_bring_is_found_in_sql(
    make_hub: Callable[..., EventHub],
    publish: Callable[..., None],
    tail: MemoryTail,
    fault: str,
) -> None:
    # A lost word is found by the slow poll; Redis away needs none, it looks oftener.
    slow = "60" if fault == "away" else "0.05"
    hub = make_hub(EVENTS_POLL_S=slow, EVENTS_AWAY_POLL_S="0.02")
    setattr(tail, fault, True)
    listener = Listener(USER, 0)
    hub.add(listener)
    publish()
    while not listener.behind:
        listener.wait(LONG / 1000)

    hub.remove(listener)


def test_the_reader_goes_on_after_an_absence(
    make_hub: Callable[..., EventHub], publish: Callable[..., None], tail: MemoryTail
) -> None:
    hub = make_hub(EVENTS_AWAY_POLL_S="60")
    tail.away = True
    listener = Listener(USER, 0)
    hub.add(listener)
    tail.away = False
    publish()
    listener.wait(LONG / 1000)

    assert len(listener.take(100)) == 1
    hub.remove(listener)


def test_all_go_when_the_process_leaves(make_hub: Callable[..., EventHub]) -> None:
    hub, line = make_hub(), Leaver()
    first, second = Listener("u_1", 0, line), Listener("u_2", 0, line)
    hub.add(first)
    hub.add(second)
    line.leaves = True
    first.wait(LONG / 1000)
    second.wait(LONG / 1000)
    late = Listener("u_3", 0, line)
    hub.add(late)

    assert first.ended
    assert second.ended
    assert late.ended


def test_a_client_that_hung_up_is_let_go(
    make_hub: Callable[..., EventHub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.services.event_hub.HANGUP_LOOK_S", 0.0)
    hub, line = make_hub(EVENTS_AWAY_POLL_S="0.02"), Leaver()
    gone, other = Listener(USER, 0, line), Listener(USER, 0)
    hub.add(gone)
    hub.add(other)
    line.gone = True
    gone.wait(LONG / 1000)

    assert gone.ended
    assert not other.ended


def test_wait_for_looks_at_once_and_asks_nobody_when_that_is_enough(
    make_hub: Callable[..., EventHub],
) -> None:
    looks = iter(["found"])

    found = make_hub().wait_for(USER, lambda: next(looks), Deadline.after_ms(LONG))

    assert found == "found"


def test_wait_for_looks_again_when_something_happened(
    make_hub: Callable[..., EventHub], publish: Callable[..., None]
) -> None:
    hub = make_hub(EVENTS_AWAY_POLL_S="60")
    looks: list[int] = []
    looked = threading.Event()

    def look() -> str | None:
        looks.append(1)
        looked.set()
        return "done" if len(looks) > 1 else None

    def finish() -> None:
        looked.wait()
        publish()

    thread = in_thread(finish)
    assert hub.wait_for(USER, look, Deadline.after_ms(LONG)) == "done"
    thread.join()
    assert len(looks) == 2


def test_wait_for_looks_again_when_the_word_was_lost(
    make_hub: Callable[..., EventHub],
) -> None:
    hub = make_hub(EVENTS_AWAY_POLL_S="0.02")
    looks = iter([None, None, "done"])

    found = hub.wait_for(USER, lambda: next(looks), Deadline.after_ms(LONG))

    assert found == "done"


def test_wait_for_gives_up_at_its_deadline_and_leaves_nothing_behind(
    make_hub: Callable[..., EventHub],
) -> None:
    hub = make_hub()
    nothing: list[str] = []

    assert hub.wait_for(USER, lambda: next(iter(nothing), None), Deadline(0)) is None
    with pytest.raises(ZeroDivisionError):
        hub.wait_for(USER, lambda: 1 / 0, Deadline.after_ms(LONG))
    assert hub.count(USER) == 0
