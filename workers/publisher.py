"""The only sender of Celery messages; the relay's loops and beat have one each.

Every wait is short, nothing is sent twice, and a broker that is away is `BrokerAway`.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu import Connection, Producer

from workers.relay_loop import BrokerAway

# A frozen broker must not hold a loop: its own, shorter waits than the workers'.
BROKER_WAIT_S = 1.0


class Publisher:
    """Sends task messages over one connection; belongs to one loop."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._connection: Connection | None = None
        self._producer: Producer | None = None

    def probe(self) -> None:
        """Open the connection anew; raises `BrokerAway`."""
        self.close()
        self._open()

    def send(
        self, task: str, argument: str | list[str], message_id: str | None = None
    ) -> None:
        """Hand over one message to the queue of ``task``; raises `BrokerAway`.

        ``message_id`` is what Flower lists it under; by default a random one.
        """
        self._open()
        try:
            self._app.send_task(
                task,
                args=[argument],
                task_id=message_id,
                # What Flower shows; by default every id of a batch, written out.
                argsrepr=_described(argument),
                producer=self._producer,
                retry=False,
            )
        except Exception as error:
            self.close()
            raise BrokerAway(type(error).__name__) from error

    def count_waiting(self, queue: str) -> int:
        """Return the length of ``queue``; raises `BrokerAway`."""
        connection = self._open()
        try:
            channel: Any = connection.default_channel
            # Declared as it is: asking passively finds no prefixed queue on Redis.
            found = channel.queue_declare(queue=queue, durable=True, auto_delete=False)
            return int(found.message_count)
        except Exception as error:
            self.close()
            raise BrokerAway(type(error).__name__) from error

    def close(self) -> None:
        """Drop the connection; the next message opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()

    def _open(self) -> Connection:
        if self._connection is not None:
            return self._connection
        connection = self._app.connection_for_write(
            connect_timeout=BROKER_WAIT_S,
            transport_options={
                "socket_timeout": BROKER_WAIT_S,
                "socket_connect_timeout": BROKER_WAIT_S,
            },
        )
        try:
            connection.ensure_connection(
                max_retries=1, interval_start=0, interval_step=0, interval_max=0
            )
            self._producer = self._app.amqp.Producer(connection)
        except Exception as error:
            connection.release()
            raise BrokerAway(type(error).__name__) from error
        self._connection = connection
        return connection


def _described(argument: str | list[str]) -> str:
    if isinstance(argument, str):
        return argument
    return f"{argument[0]} and {len(argument) - 1} more"
