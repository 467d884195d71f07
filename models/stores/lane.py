"""One connection to Redis that the requests in flight of a process share.

Calls gather while the connection is busy; one of the callers sends them all. Used by
`models/stores/connection.py`, which owns the lanes and the breaker.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import hiredis
from redis.exceptions import RedisError, ResponseError

from config.clock import monotonic
from config.metrics.stores import REDIS_GREETINGS_REFUSED
from models.errors import RedisUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from config.store_settings import RedisSettings

Argument = bytes | str | int | float
Reply = Any
# What a new connection says before all else, and what it says if that is refused.
Greeting = tuple[tuple[Argument, ...], tuple[Argument, ...]]
# redis-py's own connection: it knows URLs, TLS and logins; its methods lack types.
Connection = Any

# A server closes idle connections; one unused for longer is looked at before use.
IDLE_CHECK_S = 1.0
# redis-py packs through a check of each argument that costs more than the packing.
_pack: Any = hiredis.pack_command


class Call:
    """One caller's commands, and the latch it waits on."""

    __slots__ = ("count", "error", "latch", "leads", "packed", "replies")

    def __init__(self, commands: Sequence[tuple[Argument, ...]]) -> None:
        # Packed by the caller: an argument of a wrong type fails here, alone.
        self.packed = b"".join(map(_pack, commands))
        self.count = len(commands)
        self.replies: list[Reply] = []
        self.error: BaseException | None = None
        self.leads = False
        # Made only for those who wait: most calls find the lane idle.
        self.latch: threading.Lock | None = None


class Lane:
    """One connection and the calls that gather while it is busy."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        settings: RedisSettings,
        greeting: Greeting | None = None,
    ) -> None:
        self._connect = connect
        self._greeting = greeting
        # Two round trips of grace: the one in flight and the one with ours.
        self._patience_s = 2 * settings.timeout_s + settings.connect_timeout_s
        self._mutex = threading.Lock()
        self._gathered: deque[Call] = deque()
        self._busy = False
        self._connection: Connection | None = None
        self._used_at = 0.0

    def run(self, call: Call) -> None:
        """Send ``call`` with its neighbours and wait for its replies.

        Raises `RedisUnavailable`; an error reply is one of the replies.
        """
        with self._mutex:
            self._gathered.append(call)
            call.leads = not self._busy
            self._busy = True
            if not call.leads and call.latch is None:
                call.latch = _closed_latch()
        if call.latch is not None:
            self._wait(call, call.latch)
        if call.leads:
            self._lead()
        if call.error is not None:
            raise RedisUnavailable(str(call.error)) from call.error

    def _wait(self, call: Call, latch: threading.Lock) -> None:
        try:
            woken = latch.acquire(timeout=self._patience_s)
        except BaseException:
            # This request is cut off while it waits: it must not become the heir.
            if not self._leave(call):
                self._pass_by(call)
            raise
        if woken:
            return
        if self._leave(call):
            raise RedisUnavailable("no reply in time")
        # The lane came to us at this very moment: take it with the latch, and serve.
        latch.acquire()

    def _leave(self, call: Call) -> bool:
        """Go away; False when the lane has already been handed to ``call``."""
        with self._mutex:
            if call.leads:
                return False
            if call in self._gathered:
                self._gathered.remove(call)
            return True

    def _pass_by(self, call: Call) -> None:
        with self._mutex:
            self._gathered.remove(call)
        self._hand_on()

    def _lead(self) -> None:
        with self._mutex:
            batch = list(self._gathered)
            self._gathered.clear()
        try:
            self._exchange(batch)
        except BaseException as error:
            # Also when this request is cut off: replies may still be on the wire.
            self.close()
            for call in batch:
                call.error = error
            if not isinstance(error, (RedisError, OSError)):
                raise
        finally:
            self._hand_on()
            for call in batch:
                if call.latch is not None:
                    call.latch.release()

    def _hand_on(self) -> None:
        with self._mutex:
            if not self._gathered:
                self._busy = False
                return
            # The first who waits leads the next round; it stays in the queue.
            heir = self._gathered[0]
            heir.leads = True
        if heir.latch is not None:
            heir.latch.release()

    def _exchange(self, batch: list[Call]) -> None:
        connection = self._ready_connection()
        connection.send_packed_command([b"".join([call.packed for call in batch])])
        for call in batch:
            for _ in range(call.count):
                call.replies.append(_read(connection))
        self._used_at = monotonic()

    def _ready_connection(self) -> Connection:
        connection = self._connection
        if connection is not None and monotonic() - self._used_at > IDLE_CHECK_S:
            connection = self._unless_closed(connection)
        if connection is None:
            connection = self._connect()
            connection.connect()
            # Ours already: whoever closes the lane closes what is not greeted.
            self._connection = connection
            self._greet(connection)
        return connection

    def _greet(self, connection: Connection) -> None:
        if self._greeting is None:
            return
        question, otherwise = self._greeting
        if not isinstance(_say(connection, question), ResponseError):
            return
        done = _say(connection, otherwise)
        if isinstance(done, ResponseError):
            raise done
        REDIS_GREETINGS_REFUSED.inc()

    def _unless_closed(self, connection: Connection) -> Connection | None:
        # Readable while nothing is due means the server has hung up.
        try:
            if not connection.can_read(timeout=0):
                return connection
        except (RedisError, OSError):
            pass
        self.close()
        return None

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None


def _closed_latch() -> threading.Lock:
    latch = threading.Lock()
    latch.acquire()
    return latch


def _say(connection: Connection, command: tuple[Argument, ...]) -> Reply:
    connection.send_packed_command([_pack(command)])
    return _read(connection)


def _read(connection: Connection) -> Reply:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error
