"""Who waits for a user's events: a bell that wakes, a listener that keeps order.

`web/services/event_hub.py` tells them what happened; the greenlet of their request
waits. Both sides may be threads.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from models.user_events import EventSlice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.user_events import NumberedEvent

# Events a listener keeps for a client that reads slowly; the rest waits in SQL.
KEPT_EVENTS: Final = 100


class Line(Protocol):
    """The connection to a client that waits, as far as the server can tell."""

    def leaving(self) -> bool:
        """Whether this process is about to end."""

    def hung_up(self) -> bool:
        """Whether nobody is at the other end any more."""


class QuietLine:
    """A connection of which nothing is known."""

    def leaving(self) -> bool:
        """Return False: such a process never tells."""
        return False

    def hung_up(self) -> bool:
        """Return False: the end shows when something is written."""
        return False


QUIET_LINE: Final = QuietLine()


class Bell:
    """Wakes one waiter when something may have happened to a user."""

    __slots__ = ("_latch", "ended", "user_id")

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        # Nobody will tell anything more: the waiter goes with what it has.
        self.ended = False
        self._latch = threading.Lock()
        self._latch.acquire()

    def wait(self, seconds: float) -> None:
        """Wait until the bell rings, at most ``seconds``."""
        if not self.ended:
            self._latch.acquire(timeout=max(0.0, seconds))

    def ring(self) -> None:
        """Wake the waiter, or let its next wait be none."""
        with suppress(RuntimeError):
            # Open already: it has rung, and one waking is enough.
            self._latch.release()

    def end(self) -> None:
        """Wake the waiter for the last time."""
        self.ended = True
        self.ring()

    def hear(self, _event: NumberedEvent, /) -> None:
        """Hear of an event of this user."""
        self.ring()

    def hear_head(self, _head: int, /) -> None:
        """Hear the number of the user's last event."""
        self.ring()


class Listener(Bell):
    """Follows one user's events from a cursor on: in order, without gap or repeat.

    ``cursor`` is the number last taken. Events of the tail that continue it are
    kept; of others only the number is, and `behind` says that SQL must be asked.
    """

    __slots__ = ("_fresh", "_heard", "_mutex", "cursor", "line")

    def __init__(self, user_id: str, cursor: int, line: Line = QUIET_LINE) -> None:
        super().__init__(user_id)
        self.cursor = cursor
        self.line = line
        self._heard = cursor
        self._fresh: list[NumberedEvent] = []
        self._mutex = threading.Lock()

    @property
    def behind(self) -> bool:
        """Whether an event is known to exist that nobody brought here."""
        return not self._fresh and self._heard > self.cursor

    def hear(self, event: NumberedEvent, /) -> None:
        """Keep ``event`` if it continues what is here; else only know of it."""
        with self._mutex:
            if event.seq <= self._heard:
                return
            self._heard = event.seq
            known = self.cursor + len(self._fresh)
            if event.seq == known + 1 and len(self._fresh) < KEPT_EVENTS:
                self._fresh.append(event)
        self.ring()

    def hear_head(self, head: int, /) -> None:
        """Wake up if there is an event nobody has told of."""
        with self._mutex:
            if head <= self._heard:
                return
            self._heard = head
        self.ring()

    def take(self, limit: int) -> Sequence[NumberedEvent]:
        """Return up to ``limit`` events the tail brought; they count as delivered."""
        with self._mutex:
            taken, self._fresh = self._fresh[:limit], self._fresh[limit:]
            self.cursor += len(taken)
        return taken

    def catch_up(self, found: EventSlice) -> None:
        """Go on after what SQL gave; a lost cursor goes on at the head."""
        with self._mutex:
            if found.lost == "ahead":
                # The numbers it claimed to know have never been given.
                self._heard = found.head
            self.cursor = found.head if found.lost else self.cursor + len(found.events)
            self._heard = max(self._heard, found.head)
            self._fresh = [e for e in self._fresh if e.seq > self.cursor]

    def start_at(self, head: int) -> None:
        """Leave out everything up to ``head``."""
        self.catch_up(EventSlice([], head, "too_old"))
