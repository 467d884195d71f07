"""The relay: `python -m workers.relay` moves both journals into Celery's queues.

The only sender of messages besides beat. Any number of relays may run; what a relay
had in hand when it died comes back after its lease.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from typing import Any

from celery import Celery
from kombu import Connection, Producer

from config.logging import configure_logging, get_logger
from config.settings import Settings, load_settings
from models.database import open_database
from models.stores.container import open_stores
from tasks.app import configure
from workers.health import heartbeat_path, touch_heartbeat
from workers.login_relay import LoginRound
from workers.outbox_relay import OutboxRound
from workers.relay_loop import BrokerAway, RelayLoop

# A frozen broker must not hold a loop: its own, shorter waits than the workers'.
BROKER_WAIT_S = 1.0
BEAT_S = 1.0
END_WITHIN_S = 1.8

log = get_logger("workers.relay")


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


class Relay:
    """Both loops, from start to end."""

    def __init__(self, settings: Settings) -> None:
        app = configure(settings)
        app.loader.import_default_modules()
        stores = open_stores(settings)
        database = open_database(settings, stores)
        consumer = f"{socket.gethostname()}-{os.getpid()}"
        senders = Publisher(app), Publisher(app)
        logins = LoginRound(
            stores.login_stream, senders[0], settings.journal, consumer=consumer
        )
        outbox = OutboxRound(
            (database, stores), senders[1], settings.journal, tasks=app.tasks
        )
        self._loops = RelayLoop(logins, senders[0]), RelayLoop(outbox, senders[1])
        self._heartbeat = heartbeat_path(settings, "relay")
        self._ending = threading.Event()

    def run(self) -> None:
        """Work until `end`; leaves a sign of life while both loops have one."""
        for loop in self._loops:
            loop.start()
        while not self._ending.wait(BEAT_S):
            if all(loop.alive for loop in self._loops):
                touch_heartbeat(self._heartbeat)
        for loop in self._loops:
            loop.stop()
        for loop in self._loops:
            loop.join(END_WITHIN_S / len(self._loops))

    def end(self, *_: object) -> None:
        """Ask for the end; the signal handler."""
        self._ending.set()


def main() -> None:
    """Run the relay until SIGTERM or SIGINT."""
    settings = load_settings()
    configure_logging(settings, "relay")
    relay = Relay(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, relay.end)
    log.info("relay started")
    relay.run()
    log.info("relay ended")


if __name__ == "__main__":
    main()
