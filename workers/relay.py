"""The relay: `python -m workers.relay` moves both journals into Celery's queues.

Any number of relays may run; what a relay had in hand when it died comes back after
its lease.
"""

from __future__ import annotations

import os
import signal
import socket
import threading

from config.logging import configure_logging, get_logger
from config.settings import Settings, load_settings
from models.database import open_database
from models.stores.container import open_stores
from tasks.app import configure
from workers.health import count_replacement, heartbeat_path, touch_heartbeat
from workers.login_relay import LoginRound
from workers.outbox_relay import OutboxRound
from workers.publisher import Publisher
from workers.relay_loop import RelayLoop, Round
from workers.standing_round import StandingRound

BEAT_S = 1.0
END_WITHIN_S = 1.8

log = get_logger("workers.relay")


class Relay:
    """Its loops, from start to end."""

    def __init__(self, settings: Settings) -> None:
        app = configure(settings)
        app.loader.import_default_modules()
        stores = open_stores(settings)
        database = open_database(settings, stores)
        consumer = f"{socket.gethostname()}-{os.getpid()}"
        senders = Publisher(app), Publisher(app), Publisher(app)
        logins = LoginRound(
            stores.login_stream, senders[0], settings.journal, consumer=consumer
        )
        outbox = OutboxRound(
            (database, stores), senders[1], settings.journal, tasks=app.tasks
        )
        standings = StandingRound(stores, database, settings.tokens)
        rounds: list[Round] = [logins, outbox, standings]
        self._loops = [RelayLoop(*pair) for pair in zip(rounds, senders, strict=True)]
        self._heartbeat = heartbeat_path(settings, "relay")
        self._ending = threading.Event()

    def run(self) -> None:
        """Work until `end`; leaves a sign of life while all loops have one."""
        count_replacement(self._heartbeat)
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
