"""Starts Flower once all queues are read: it asks the workers what they read only then.

`python -m workers.flower_start` becomes ``celery flower``; options: `flower_config.py`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from celery import Celery
from kombu.exceptions import OperationalError

from config.celery import celery_options
from config.clock import MS_PER_S, Deadline, sleep
from config.logging import configure_logging, get_logger
from config.queues import Queue
from config.settings import load_settings

if TYPE_CHECKING:
    from config.settings import Settings

LOOK_S: Final = 0.5
COMMAND: Final = ("celery", "--quiet", "-A", "workers.celery", "flower")
OPTIONS: Final = ("--conf=workers/flower_config.py",)

log = get_logger(__name__)


def unread(app: Celery) -> set[str]:
    """Return the queues of ours that no worker says it reads; all when none answers."""
    try:
        told = app.control.inspect(timeout=LOOK_S).active_queues() or {}
    except (OperationalError, OSError):
        told = {}
    read = {queue["name"] for queues in told.values() for queue in queues}
    return {queue for queue in Queue if queue not in read}


def asking_app(settings: Settings) -> Celery:
    """Return an app that asks and nothing else: `tasks.app` keeps no pool of it."""
    asking = Celery("asking", set_as_current=False)
    asking.conf.update(celery_options(settings))
    return asking


def wait_for_readers(app: Celery, patience: Deadline) -> set[str]:
    """Wait until every queue is read, and return those that are not in time."""
    while (left := unread(app)) and not patience.expired:
        sleep(LOOK_S)
    return left


def main() -> None:
    """Wait for the workers, not for ever, and become Flower."""
    settings = load_settings()
    configure_logging(settings, "flower")
    patience = Deadline.after_ms(settings.flower.wait_s * MS_PER_S)
    if left := wait_for_readers(asking_app(settings), patience):
        # Its pages work; only the queues of these are missing until they are asked.
        log.warning("flower starts without a lane", lane=",".join(sorted(left)))
    os.execvp(COMMAND[0], [*COMMAND, *OPTIONS])  # noqa: S606 (a fixed command)


if __name__ == "__main__":
    main()
