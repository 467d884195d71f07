"""A channel whose connection is gone: a lost connection, not the end of the worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from kombu.transport import redis as stock

from config.queues import Queue
from tasks.app import app, configure
from tasks.broker import Channel

if TYPE_CHECKING:
    from config.settings import Settings


def orphan(settings: Settings) -> Any:
    """Return a channel with a message in hand, whose connection has been dropped."""
    configure(settings)
    connection = app.connection_for_read()
    with app.connection_for_write() as other:
        app.send_task("tasks.a.b", ["ob_1"], queue=Queue.SYNC.value, connection=other)
    channel: Any = connection.default_channel
    queue = app.amqp.queues[Queue.SYNC.value](channel)
    queue.declare()
    assert queue.get(no_ack=False) is not None
    # What is left when closing the channel failed half way, since Redis had gone.
    connection._do_close_transport()
    return channel


def test_closing_it_is_an_error_that_celery_mends(
    redis_url: str, settings: Settings
) -> None:
    assert settings.redis.broker_url == redis_url
    channel = orphan(settings)

    assert isinstance(channel, Channel)
    with pytest.raises(ConnectionError, match="gone"):
        channel.close()


def test_the_stock_channel_would_end_the_worker(
    redis_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # When this fails kombu has mended it, and tasks/broker.py can go.
    theirs: Any = stock.Channel
    monkeypatch.setattr(Channel, "_connparams", theirs._connparams)
    channel = orphan(settings)

    with pytest.raises(AttributeError):
        channel.close()
