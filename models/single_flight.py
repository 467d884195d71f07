"""Single flight: callers of one process that want the same thing at once share it.

Needs no store, so it works whatever is away. `models/stores/shared_flight.py` joins
the callers of all processes; an effect that must happen once needs SQL's unique key.
"""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Generic, TypeVar

from config.patience import bound_deadline
from models.errors import DeadlinePassed

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """One call at a time for each key; those who come meanwhile get its outcome."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._flights: dict[Hashable, Future[T]] = {}

    def run(self, key: Hashable, produce: Callable[[], T]) -> tuple[T, bool]:
        """Return the value, and whether this caller produced it.

        An exception of ``produce`` reaches everybody who joined. A leader that is cut
        off (its thread or greenlet ends, or its own deadline) leaves the flight to
        those who wait. Who joins waits until its own deadline, for one leader after
        the other, and raises TimeoutError then.
        """
        deadline = bound_deadline()
        while True:
            flight, leads = self._board(key)
            if leads:
                return self._lead(key, flight, produce), True
            left_s = None if deadline is None else max(0.0, deadline.remaining_s())
            try:
                return flight.result(left_s), False
            except CancelledError:
                continue

    def part(self, key: Hashable) -> None:
        """Let later callers not join a flight that began before now."""
        with self._mutex:
            self._flights.pop(key, None)

    def _board(self, key: Hashable) -> tuple[Future[T], bool]:
        with self._mutex:
            flight = self._flights.get(key)
            if flight is not None:
                return flight, False
            flight = self._flights[key] = Future()
            return flight, True

    def _lead(self, key: Hashable, flight: Future[T], produce: Callable[[], T]) -> T:
        try:
            value = produce()
        except BaseException as error:
            self._land(key, flight)
            if isinstance(error, Exception) and not isinstance(error, DeadlinePassed):
                flight.set_exception(error)
            else:
                flight.cancel()
            raise
        self._land(key, flight)
        flight.set_result(value)
        return value

    def _land(self, key: Hashable, flight: Future[T]) -> None:
        with self._mutex:
            # After `part` a newer flight may stand there.
            if self._flights.get(key) is flight:
                del self._flights[key]
