"""How Redis is reached: one pipeline shared by all requests in flight in a process.

Commands of concurrent callers travel together: whoever finds a lane idle sends what
has gathered and hands the lane on; the others wait for their replies. Every wait is
bounded, nothing is sent twice, and a breaker answers at once while Redis is away.
"""

from __future__ import annotations

import re
from itertools import cycle
from typing import TYPE_CHECKING, Any

from redis import BlockingConnectionPool, ConnectionPool, Redis
from redis.exceptions import (
    ClusterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)

from config.clock import monotonic
from config.metrics.stores import REDIS_FAILURES
from models.errors import RedisUnavailable
from models.stores.breaker import Breaker
from models.stores.lane import Argument, Call, Greeting, Lane, Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.store_settings import RedisSettings
    from models.stores.scripts import Script

# Replies that mean "this Redis cannot serve now", whatever was asked. redis-py takes
# the first word off some of them; within a script Redis 6 puts text before it.
AWAY = (OutOfMemoryError, ReadOnlyError, ClusterDownError)
AWAY_WORD = re.compile(r"(?:^|-)(?:OOM|READONLY|MISCONF|MASTERDOWN|NOREPLICAS) ")


class SharedPipeline:
    """Non-blocking Redis commands for every request of this process.

    Raises `RedisUnavailable` within about ``timeout_s`` when Redis is away; a
    command that timed out may or may not have run, so writes are idempotent.
    """

    def __init__(
        self, settings: RedisSettings, greeting: Greeting | None = None
    ) -> None:
        # The pool only makes connections from the URL; lanes own them.
        self._pool = ConnectionPool.from_url(settings.url, **_timeouts(settings))
        self._lanes = [
            Lane(self._pool.make_connection, settings, greeting)
            for _ in range(settings.lanes)
        ]
        self._turn = cycle(self._lanes)
        self._breaker = Breaker(settings.breaker_failures, settings.breaker_open_s)
        self._doubt_s = settings.doubt_s
        self._failed_at = -settings.doubt_s

    @property
    def in_doubt(self) -> bool:
        """Whether this process lost Redis a moment ago: it may have missed writes."""
        return monotonic() - self._failed_at < self._doubt_s

    def knock(self) -> bool:
        """Ask Redis for a sign of life although the breaker is open; closes it then."""
        call = Call([("PING",)])
        try:
            next(self._turn).run(call)
            _raise_if_away([r for r in call.replies if isinstance(r, ResponseError)])
        except RedisUnavailable:
            return False
        self._breaker.succeeded()
        return True

    def execute(self, *command: Argument) -> Reply:
        """Run one command and return its reply; an error reply is raised."""
        return self.execute_many([command])[0]

    def execute_many(self, commands: Sequence[tuple[Argument, ...]]) -> list[Reply]:
        """Run ``commands`` in order in one round trip and return their replies."""
        self._breaker.check()
        call = Call(commands)
        try:
            next(self._turn).run(call)
            errors = [r for r in call.replies if isinstance(r, ResponseError)]
            _raise_if_away(errors)
        except RedisUnavailable as error:
            REDIS_FAILURES.labels(type(error.__cause__).__name__).inc()
            self._breaker.failed()
            self._failed_at = monotonic()
            raise
        # Before an error reply is raised: it proves that Redis serves, and the
        # caller of an unknown script must get through a breaker that was open.
        self._breaker.succeeded()
        if errors:
            raise errors[0]
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


def blocking_client(settings: RedisSettings, block_s: float) -> Redis:
    """Return a client for reads that wait up to ``block_s`` on the server.

    Its timeout exceeds the wait, and it never repeats a command by itself. Who finds
    all its connections in use gets redis-py's ConnectionError after ``pool_wait_s``.
    """
    timeouts = {**_timeouts(settings), "socket_timeout": block_s + settings.timeout_s}
    pool = BlockingConnectionPool.from_url(
        settings.url,
        max_connections=settings.pool_size,
        timeout=settings.pool_wait_s,
        **timeouts,
    )
    # Closing the client closes the pool.
    return Redis.from_pool(pool)


def _timeouts(settings: RedisSettings) -> dict[str, Any]:
    return {
        "socket_timeout": settings.timeout_s,
        "socket_connect_timeout": settings.connect_timeout_s,
        "socket_keepalive": True,
        "protocol": 2,
        # None for reads either: the callers of a pipeline would all wait for the
        # repeat, and whoever only reads has SQL to ask.
        "retry": None,
        "health_check_interval": 0,
    }


def _raise_if_away(errors: Sequence[ResponseError]) -> None:
    for error in errors:
        if isinstance(error, AWAY) or AWAY_WORD.search(str(error)):
            raise RedisUnavailable(str(error)) from error
