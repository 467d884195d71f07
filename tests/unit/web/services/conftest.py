"""The events channel in one process: a tail in memory over SQLite."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING

import pytest

from models.database import Database, open_database
from models.errors import RedisUnavailable
from models.events import Event, EventType
from models.tables import METADATA
from models.users import ensure_user
from web.services.event_hub import EventHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from config.settings import Settings
    from models.user_events import NumberedEvent


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
        hubs.append(EventHub(make_settings(**variables), tail, sqlite))
        return hubs[-1]

    yield make
    for hub in hubs:
        hub.close()


@pytest.fixture
def publish(sqlite: Database) -> Callable[..., None]:
    def act(user: str = "u_1", kind: str = "profile.updated", **data: str) -> None:
        with sqlite.unit_of_work() as work:
            ensure_user(work.session, user, "wx1", 1)
            work.publish(Event(EventType(kind), user, data))

    return act
