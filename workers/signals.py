"""What Celery's processes do besides tasks: logs, forks, signs of life, refusals.

Connected by `workers/celery.py`; nothing here runs in the web or in the relay.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from celery import signals

from config.ended_metrics import sweep_shared_folder
from config.logging import configure_logging, get_logger
from config.metrics.processes import WORKER_REFUSED
from config.settings import Settings
from tasks.app import after_fork
from workers.graceful_stop import GracefulStop, allow_break_off
from workers.health import count_replacement, heartbeat_path, touch_heartbeat
from workers.watchdog import Watchdog, watch

# The commands that run without a name of their own.
NAMED = ("beat", "flower")
# It quotes the bodies of messages it refuses.
QUOTING_LOGGER = "celery.worker.consumer.consumer"

log = get_logger(__name__)


def keep_first_line(record: logging.LogRecord) -> bool:
    """Cut a record to the line that says what happened: the rest is the message."""
    record.msg, record.args = record.getMessage().partition("\n")[0], ()
    return True


class ProcessHooks:
    """The receivers of one process, which learns its name from Celery."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.process = next((name for name in NAMED if name in sys.argv), "worker")
        self._stop: GracefulStop | None = None
        self._watchdog: Watchdog | None = None

    def connect(self) -> None:
        """Set up logs and connect every receiver; the signals keep them alive."""
        self.on_logging()
        receivers: tuple[tuple[Any, Any], ...] = (
            (signals.celeryd_init, self.on_worker_named),
            (signals.setup_logging, self.on_logging),
            (signals.worker_process_init, self.on_child_start),
            (signals.worker_ready, self.on_ready),
            (signals.worker_shutting_down, self.on_stopping),
            (signals.heartbeat_sent, self.on_heartbeat),
            (signals.task_unknown, self.on_unknown),
            (signals.task_rejected, self.on_rejected),
        )
        for signal, receiver in receivers:
            signal.connect(receiver, weak=False)

    @property
    def heartbeat(self) -> Path:
        """The file this process touches."""
        return heartbeat_path(self._settings, self.process)

    def on_worker_named(self, sender: str, **_: object) -> None:
        """Take the name before the host: ``worker`` of ``worker@host``."""
        self.process = sender.partition("@")[0]

    def on_logging(self, **_: object) -> None:
        """Keep Celery from setting up logs: ours write one line an event."""
        configure_logging(self._settings, self.process)
        logging.getLogger(QUOTING_LOGGER).addFilter(keep_first_line)

    def on_ready(self, sender: Any, **_: object) -> None:  # noqa: ANN401 (Celery's)
        """Watch the worker, now that it hears; ``sender`` is its consumer."""
        self.on_heartbeat()
        self._stop = GracefulStop(sender.pool, self._settings.celery.soft_shutdown_s)
        count_replacement(self.heartbeat)
        queues = list(sender.app.amqp.queues.consume_from)
        self._watchdog = watch(self._settings, queues, self.heartbeat)
        self._stop.start()
        self._watchdog.start()

    def on_stopping(self, **_: object) -> None:
        """Give running tasks a while; called in the handler of the signal."""
        if self._stop is not None and self._watchdog is not None:
            self._stop.ask()
            self._watchdog.end()

    def on_child_start(self, **_: object) -> None:
        """Forget connections that belong to the parent; be ready to be stopped."""
        after_fork()
        self.on_logging()
        allow_break_off()
        # Whom this one replaces; also one that was killed and could not say so.
        sweep_shared_folder()

    def on_heartbeat(self, **_: object) -> None:
        """Show that the main loop turns."""
        touch_heartbeat(self.heartbeat)

    def on_unknown(self, name: str, **_: object) -> None:
        """Count a message that names no task of ours."""
        WORKER_REFUSED.labels("unknown task").inc()
        log.error("message refused", reason="unknown task", name=name)

    def on_rejected(self, **_: object) -> None:
        """Count a message that is none of ours: wrong format or protocol."""
        WORKER_REFUSED.labels("bad message").inc()
        log.error("message refused", reason="bad message")
