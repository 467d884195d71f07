"""How Redis is reached: one pipeline shared by all requests in flight in a process.

Commands of concurrent callers travel together: whoever finds a lane idle sends what
has gathered and hands the lane on; the others wait for their replies. Every wait is
bounded, nothing is sent twice, and a breaker answers at once while Redis is away.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from itertools import cycle
from typing import TYPE_CHECKING, Any

import hiredis
from redis import ConnectionPool, Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from config.clock import monotonic
from config.metrics import (
    REDIS_BREAKER_OPEN,
    REDIS_FAILURES,
)
from models.errors import RedisUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.store_settings import RedisSettings
    from models.stores.scripts import Script

Argument = bytes | str | int | float
Reply = Any
# redis-py's own connection: it knows URLs, TLS and logins; its methods lack types.
Connection = Any

# A server closes idle connections; one unused for longer is looked at before use.
IDLE_CHECK_S = 1.0
# redis-py packs through a check of each argument that costs more than the packing.
_pack: Any = hiredis.pack_command
# Replies that mean "this Redis cannot serve now", whatever was asked.
AWAY = (
    "OOM",
    "LOADING",
    "READONLY",
    "MISCONF",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "NOREPLICAS",
)


class _Call:
    """One caller's commands, and the latch it waits on."""

    __slots__ = ("commands", "error", "latch", "leads", "replies")

    def __init__(self, commands: Sequence[tuple[Argument, ...]]) -> None:
        self.commands = commands
        self.replies: list[Reply] = []
        self.error: BaseException | None = None
        self.leads = False
        self.latch = threading.Lock()
        self.latch.acquire()


class _Lane:
    """One connection and the calls that gather while it is busy."""

    def __init__(
        self, connect: Callable[[], Connection], settings: RedisSettings
    ) -> None:
        self._connect = connect
        self._settings = settings
        self._mutex = threading.Lock()
        self._gathered: deque[_Call] = deque()
        self._busy = False
        self._connection: Connection | None = None
        self._used_at = 0.0

    def run(self, call: _Call) -> None:
        """Send ``call`` with its neighbours and wait for its replies."""
        with self._mutex:
            self._gathered.append(call)
            call.leads = not self._busy
            self._busy = True
        if not call.leads:
            # Two round trips of grace: the one in flight and the one with ours.
            patience = 2 * self._settings.timeout_s + self._settings.connect_timeout_s
            if not call.latch.acquire(timeout=patience):
                self._leave(call)
        if call.leads:
            self._lead()
        if call.error is not None:
            raise RedisUnavailable(str(call.error)) from call.error

    def _leave(self, call: _Call) -> None:
        with self._mutex:
            if call.leads:
                return  # The lane came to us at this very moment: serve it.
            if call in self._gathered:
                self._gathered.remove(call)
        raise RedisUnavailable("no reply in time")

    def _lead(self) -> None:
        with self._mutex:
            batch = list(self._gathered)
            self._gathered.clear()
        try:
            self._exchange(batch)
        except BaseException as error:
            # Also when this request is cut off: replies may still be on the wire.
            self._drop()
            for call in batch:
                call.error = error
            if not isinstance(error, (RedisError, OSError)):
                raise
        finally:
            self._hand_on()
            for call in batch:
                call.latch.release()

    def _hand_on(self) -> None:
        with self._mutex:
            if not self._gathered:
                self._busy = False
                return
            # The first who waits leads the next round; it stays in the queue.
            heir = self._gathered[0]
            heir.leads = True
        heir.latch.release()

    def _exchange(self, batch: list[_Call]) -> None:
        connection = self._ready_connection()
        commands = [command for call in batch for command in call.commands]
        connection.send_packed_command([b"".join(map(_pack, commands))])
        for call in batch:
            for _ in call.commands:
                call.replies.append(_read(connection))
        self._used_at = monotonic()

    def _ready_connection(self) -> Connection:
        connection = self._connection
        if connection is not None and monotonic() - self._used_at > IDLE_CHECK_S:
            connection = self._unless_closed(connection)
        if connection is None:
            connection = self._connect()
            connection.connect()
            self._connection = connection
        return connection

    def _unless_closed(self, connection: Connection) -> Connection | None:
        # Readable while nothing is due means the server has hung up.
        try:
            if not connection.can_read(timeout=0):
                return connection
        except (RedisError, OSError):
            pass
        self._drop()
        return None

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None

    close = _drop


def _read(connection: Connection) -> Reply:
    try:
        return connection.read_response()
    except ResponseError as error:
        return error


class SharedPipeline:
    """Non-blocking Redis commands for every request of this process.

    Raises `RedisUnavailable` within about ``timeout_s`` when Redis is away; a
    command that timed out may or may not have run, so writes are idempotent.
    """

    def __init__(self, settings: RedisSettings) -> None:
        # The pool only makes connections from the URL; lanes own them.
        self._pool = ConnectionPool.from_url(settings.url, **_timeouts(settings))
        self._lanes = [
            _Lane(self._pool.make_connection, settings) for _ in range(settings.lanes)
        ]
        self._turn = cycle(self._lanes)
        self._breaker = _Breaker(settings.breaker_failures, settings.breaker_open_s)

    def execute(self, *command: Argument) -> Reply:
        """Run one command and return its reply; an error reply is raised."""
        return self.execute_many([command])[0]

    def execute_many(self, commands: Sequence[tuple[Argument, ...]]) -> list[Reply]:
        """Run ``commands`` in order in one round trip and return their replies."""
        self._breaker.check()
        call = _Call(commands)
        try:
            next(self._turn).run(call)
            for reply in call.replies:
                if isinstance(reply, ResponseError):
                    _raise_reply(reply)
        except RedisUnavailable as error:
            REDIS_FAILURES.labels(type(error.__cause__).__name__).inc()
            self._breaker.failed()
            raise
        self._breaker.succeeded()
        return call.replies

    def run(
        self, script: Script, keys: Sequence[str], args: Sequence[Argument]
    ) -> Reply:
        """Run a Lua script by its hash; loads it where Redis does not know it yet."""
        try:
            return self.execute("EVALSHA", script.sha1, len(keys), *keys, *args)
        except NoScriptError:
            return self.execute("EVAL", script.source, len(keys), *keys, *args)

    def close(self) -> None:
        """Close the connections; later calls open new ones."""
        for lane in self._lanes:
            lane.close()


class _Breaker:
    """Answers at once while Redis is away, and lets one call in a while look."""

    def __init__(self, failures: int, open_s: float) -> None:
        self._limit = failures
        self._open_s = open_s
        self._failures = 0
        self._open_until = 0.0

    def check(self) -> None:
        if self._failures < self._limit:
            return
        now = monotonic()
        if now < self._open_until:
            wait_ms = int((self._open_until - now) * 1000) + 1
            raise RedisUnavailable("breaker open", retry_after_ms=wait_ms)
        # This caller tries; the others wait for another period.
        self._open_until = now + self._open_s

    def failed(self) -> None:
        self._failures += 1
        if self._failures >= self._limit:
            self._open_until = monotonic() + self._open_s
            REDIS_BREAKER_OPEN.set(1)

    def succeeded(self) -> None:
        if self._failures:
            self._failures = 0
            REDIS_BREAKER_OPEN.set(0)


def blocking_client(settings: RedisSettings, block_s: float) -> Redis:
    """Return a client for reads that wait up to ``block_s`` on the server.

    Its timeout exceeds the wait, and it never repeats a command by itself.
    """
    timeouts = {**_timeouts(settings), "socket_timeout": block_s + settings.timeout_s}
    return Redis.from_url(settings.url, **timeouts)


def _timeouts(settings: RedisSettings) -> dict[str, Any]:
    return {
        "socket_timeout": settings.timeout_s,
        "socket_connect_timeout": settings.connect_timeout_s,
        "socket_keepalive": True,
        "protocol": 2,
        "retry": None,
        "health_check_interval": 0,
    }


def _raise_reply(error: ResponseError) -> None:
    if str(error).startswith(AWAY):
        raise RedisUnavailable(str(error)) from error
    raise error
