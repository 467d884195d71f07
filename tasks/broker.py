"""kombu's Redis transports with one hole closed: a lost connection ends no worker.

When Redis goes away, kombu drops a connection before it closes the connection's
channel. Closing (or acknowledging on) that channel asks the dropped connection where
Redis is, and the AttributeError ends the whole Celery process. Here it is what it is,
a lost connection, which kombu and Celery know how to mend.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis


class _Attached:
    """A channel that says so when it has no connection any more."""

    connection: Any

    def _connparams(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (kombu's)
        if self.connection is None or self.connection.client is None:
            raise ConnectionError("this channel's connection is gone")
        return super()._connparams(*args, **kwargs)  # type: ignore[misc]


class Channel(_Attached, redis.Channel):
    """A channel to one Redis."""


class Transport(redis.Transport):
    """``redis://`` and ``rediss://``."""

    Channel = Channel


class SentinelChannel(_Attached, redis.SentinelChannel):
    """A channel to the Redis that Sentinel names."""


class SentinelTransport(redis.SentinelTransport):
    """``sentinel://``."""

    Channel = SentinelChannel


def use_own_transports() -> None:
    """Let broker addresses lead here; before the first connection is opened."""
    TRANSPORT_ALIASES.update(
        redis="tasks.broker:Transport",
        rediss="tasks.broker:Transport",
        sentinel="tasks.broker:SentinelTransport",
    )
