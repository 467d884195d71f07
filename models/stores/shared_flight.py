"""Single flight over all processes: one loads a value, the others wait for it.

Callers of one process join in `models/single_flight.py`; processes agree by a lease
that a dead loader loses, and hand the value over under its key.

Redis away: each process loads for itself. It saves work; where an effect must happen
once, SQL's unique key decides.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, NamedTuple

from models.errors import DeadlinePassed, RedisUnavailable
from models.single_flight import SingleFlight
from models.stores.keys import FLIGHT_LEASE_MS
from models.stores.scripts import load_script
from models.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.stores.connection import SharedPipeline

LAND_FLIGHT = load_script("land_flight")
RELEASE = load_script("release")
# A follower looks this often for the leader's value, this long, then loads itself.
POLL_S = 0.01
PATIENCE_S = 0.3


class Place(NamedTuple):
    """The key a value stands under, and the key of its loader's lease."""

    value: str
    lease: str


class SharedFlight:
    """One loader for each place; ``life_ms`` says how long a value stands there."""

    def __init__(self, redis: SharedPipeline, life_ms: Callable[[bytes], int]) -> None:
        self._redis = redis
        self._life_ms = life_ms
        self._flights: SingleFlight[bytes] = SingleFlight()

    def run(self, place: Place, load: Callable[[], bytes]) -> bytes:
        """Return the value that one of all callers loads now.

        A loader that overruns its lease, or whose lease a write took away (see
        `part`), leaves nothing behind. Raises `DeadlinePassed` where another loader
        takes longer than this caller can wait.
        """
        return self._join(place, lambda: self._lead(place, load))

    def run_here(self, place: Place, load: Callable[[], bytes]) -> bytes:
        """Return the value that one caller of this process loads; asks no Redis.

        Raises like `run`.
        """
        return self._join(place, load)

    def part(self, place: Place) -> None:
        """Let later callers of this process not join a load begun before now.

        Deleting the lease does the same to the other processes.
        """
        self._flights.part(place)

    def _join(self, place: Place, load: Callable[[], bytes]) -> bytes:
        try:
            return self._flights.run(place, load)[0]
        except TimeoutError as error:
            raise DeadlinePassed("another caller still loads it") from error

    def _lead(self, place: Place, load: Callable[[], bytes]) -> bytes:
        mark = secrets.token_hex(8)
        try:
            found = self._find(place, mark)
        except RedisUnavailable:
            return load()
        if found is not None:
            return found
        value = load()
        self._land(place, mark, value)
        return value

    def _find(self, place: Place, mark: str) -> bytes | None:
        """Take the lease; return the value if another loader has left or leaves it."""
        lease = ("SET", place.lease, mark, "NX", "PX", FLIGHT_LEASE_MS)
        # The value too: a flight may have landed since the caller looked.
        ours, found = self._redis.execute_many([lease, ("GET", place.value)])
        if found is not None:
            if ours is not None:
                self._redis.run(RELEASE, [place.lease], [mark])
            return bytes(found)
        if ours is not None:
            return None
        return wait_for(
            lambda: self._redis.execute("GET", place.value),
            seconds=PATIENCE_S,
            every_s=POLL_S,
        )

    def _land(self, place: Place, mark: str, value: bytes) -> None:
        try:
            self._redis.run(LAND_FLIGHT, place, [mark, value, self._life_ms(value)])
        except RedisUnavailable:
            # Others load for themselves; `REDIS_FAILURES` has counted it.
            return
