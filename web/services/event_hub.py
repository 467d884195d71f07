"""Hands what happened to users to those who wait for it in this process.

One reader follows the Redis tail for all of them; one watcher asks SQL for the
numbers of all their users now and then, so that a lost announcement is only late.
Neighbours: `listeners` (who waits), `events` (the channel that clients see).
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from config.clock import Deadline, monotonic
from config.logging import get_logger
from config.metrics.events import EVENT_FAULTS, EVENT_LISTENERS, EVENT_LISTENERS_REFUSED
from config.open_files import fitting
from models.errors import (
    DatabaseUnavailable,
    Limited,
    RedisUnavailable,
    Unavailable,
)
from models.user_events import read_heads
from web.services.listeners import Bell, Listener

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from config.settings import Settings
    from models.database import Database
    from models.user_events import NumberedEvent

T = TypeVar("T")

# Users asked for in one SELECT.
USERS_PER_LOOK: Final = 500
# Writers leave Redis alone for REDIS_BREAKER_OPEN_S after it failed them, so the tail
# is not complete at once when it is back.
DOUBT_S: Final = 5.0
# Between attempts to reach a Redis that is away.
PAUSE_S: Final = 0.5
# A long poll ends in 25 s at most, so places come free all the time.
REFUSED_WAIT_MS: Final = 5000
# Between looks whether those who wait have hung up; a look costs about 2 us each.
HANGUP_LOOK_S: Final = 3.0

_log = get_logger(__name__)


class Tail(Protocol):
    """Events as they are announced; see `models/stores/event_stream.py`."""

    def read(self) -> list[NumberedEvent]:
        """Wait a moment for news; `RedisUnavailable` when there can be none."""


class EventHub:
    """The listeners of one process and the two threads that serve them.

    The threads (greenlets under gevent) start with the first one who waits.
    """

    def __init__(self, settings: Settings, tail: Tail, database: Database) -> None:
        self._settings = settings.events
        connections = fitting(settings.http.web_connections)
        self._most = int(connections * settings.events.connection_share)
        # RATE_LIMITS=off switches off what one user may do, not what we can hold.
        self._most_of_user = (
            settings.events.per_user if settings.limits.enabled else self._most
        )
        self._listeners = 0
        self._tail = tail
        self._database = database
        self._mutex = threading.Lock()
        self._bells: dict[str, list[Bell]] = {}
        self._started = False
        self._closed = threading.Event()
        self._doubt_until = 0.0
        self._leaving: Callable[[], bool] = bool

    def wait_for(
        self, user_id: str, look: Callable[[], T | None], deadline: Deadline
    ) -> T | None:
        """Call ``look`` now and each time something happened to the user.

        Returns its first answer that is not None, or None at ``deadline`` and when
        this process is about to end. Lost announcements and a Redis that is away
        are made up for by looking every second; what ``look`` raises goes through.
        """
        bell = Bell(user_id)
        with self._ringing(bell):
            while True:
                found = look()
                if found is not None or deadline.expired or bell.ended:
                    return found
                bell.wait(deadline.capped(self._settings.away_poll_s))

    def add(self, listener: Listener) -> None:
        """Tell ``listener`` from now on; pair it with `remove`.

        Raises `Limited` when its user has enough of them here, and `Unavailable`
        (``overloaded``) when further connections are kept for requests.
        """
        self._admit(listener.user_id)
        self._enter(listener)
        self._leaving = listener.line.leaving
        if self._leaving():
            listener.end()
        EVENT_LISTENERS.inc()

    def remove(self, listener: Listener) -> None:
        """Forget ``listener``."""
        self._leave(listener)
        with self._mutex:
            self._listeners -= 1
        EVENT_LISTENERS.dec()

    def count(self, user_id: str) -> int:
        """Return how many wait for this user here."""
        return len(self._bells.get(user_id, ()))

    def close(self) -> None:
        """Let everyone go and end the threads soon."""
        self._closed.set()
        self._end_all()

    def _admit(self, user_id: str) -> None:
        if self.count(user_id) >= self._most_of_user:
            EVENT_LISTENERS_REFUSED.labels("user").inc()
            raise Limited("listeners of one user", retry_after_ms=REFUSED_WAIT_MS)
        with self._mutex:
            if self._listeners < self._most:
                self._listeners += 1
                return
        EVENT_LISTENERS_REFUSED.labels("process").inc()
        raise Unavailable(
            "listeners", reason="overloaded", retry_after_ms=REFUSED_WAIT_MS
        )

    @contextmanager
    def _ringing(self, bell: Bell) -> Iterator[None]:
        self._enter(bell)
        try:
            yield
        finally:
            self._leave(bell)

    def _enter(self, bell: Bell) -> None:
        with self._mutex:
            self._bells.setdefault(bell.user_id, []).append(bell)
            starts, self._started = not self._started, True
        if starts:
            # The reader needs a moment to find the end of the tail.
            self._doubt_until = monotonic() + DOUBT_S
            for loop in (self._follow, self._watch):
                threading.Thread(target=loop, daemon=True).start()

    def _leave(self, bell: Bell) -> None:
        with self._mutex:
            others = self._bells[bell.user_id]
            others.remove(bell)
            if not others:
                del self._bells[bell.user_id]

    def _follow(self) -> None:
        """Hand on what the tail brings, until closed; look whether to leave."""
        while not self._closed.is_set():
            try:
                self._spread(self._tail.read())
            except RedisUnavailable:
                self._doubt("tail")
            except Exception as error:  # noqa: BLE001 -- nobody else would go on
                self._doubt("tail")
                _log.error("event_tail_failed", exc_info=error)
            if self._leaving():
                self._end_all()

    def _doubt(self, part: str) -> None:
        EVENT_FAULTS.labels(part).inc()
        self._doubt_until = monotonic() + DOUBT_S
        self._closed.wait(PAUSE_S)

    def _spread(self, events: Sequence[NumberedEvent]) -> None:
        for event in events:
            for bell in self._bells_of(event.user_id):
                bell.hear(event)

    def _bells_of(self, user_id: str) -> list[Bell]:
        if user_id not in self._bells:
            # Nearly always: the tail is of the whole installation.
            return []
        with self._mutex:
            return list(self._bells.get(user_id, ()))

    def _everyone(self) -> list[Bell]:
        with self._mutex:
            return [bell for bells in self._bells.values() for bell in bells]

    def _end_all(self) -> None:
        for bell in self._everyone():
            bell.end()

    def _watch(self) -> None:
        """Ask SQL for missed events, and lines for clients that are gone."""
        looked = swept = monotonic()
        while not self._closed.wait(self._settings.away_poll_s):
            now = monotonic()
            if now < self._doubt_until or now - looked >= self._settings.poll_s:
                looked = now
                self._look()
            if now - swept >= HANGUP_LOOK_S:
                swept = now
                self._let_go()

    def _look(self) -> None:
        try:
            for user_id, head in self._heads():
                for bell in self._bells_of(user_id):
                    bell.hear_head(head)
        except DatabaseUnavailable:
            EVENT_FAULTS.labels("sql").inc()
        except Exception as error:  # noqa: BLE001 -- nobody else would go on
            EVENT_FAULTS.labels("sql").inc()
            _log.error("event_look_failed", exc_info=error)

    def _heads(self) -> Iterator[tuple[str, int]]:
        with self._mutex:
            users = list(self._bells)
        for start in range(0, len(users), USERS_PER_LOOK):
            with self._database.read() as session:
                heads = read_heads(session, users[start : start + USERS_PER_LOOK])
            yield from heads.items()

    def _let_go(self) -> None:
        for bell in self._everyone():
            if isinstance(bell, Listener) and bell.line.hung_up():
                bell.end()
