"""The Celery app of the house, unconfigured at import, and what its tasks work with.

`workers/celery.py` and `workers/relay.py` configure it; `tasks/base.py` asks for the
`Resources` of the process.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from celery import Celery

from config.celery import celery_options
from config.schedule import beat_schedule
from config.settings import Settings
from models.database import Database, open_database
from models.stores.container import Stores, open_stores
from tasks.broker import use_own_transports
from tasks.leases import LeaseKeeper
from wechat.gateway import Gateway, open_gateway

TASK_MODULES = (
    "tasks.logins",
    "tasks.profile",
    "tasks.sessions",
    "tasks.standings",
    "tasks.schedule",
    "tasks.notifications",
    "tasks.notification_sweep",
    "tasks.maintenance",
    "tasks.paid_calls",
    "tasks.wechat_keys",
    "tasks.retention",
    "tasks.risk",
    "tasks.exports",
)

use_own_transports()
app = Celery("kuaida", include=list(TASK_MODULES))


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything a task may touch; opened once a process, shared by its threads."""

    settings: Settings
    database: Database
    stores: Stores
    gateway: Gateway
    leases: LeaseKeeper

    def close(self) -> None:
        """Close every connection."""
        self.leases.close()
        self.gateway.close()
        self.stores.close()
        self.database.dispose()


class _Process:
    """Opens the resources of this process when the first task asks for them."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._opened: Resources | None = None
        self._lock = threading.Lock()

    def remember(self, settings: Settings) -> None:
        with self._lock:
            opened, self._opened = self._opened, None
            self._settings = settings
        if opened is not None:
            opened.close()

    def settings(self) -> Settings:
        if self._settings is None:
            raise RuntimeError("configure() has not been called")
        return self._settings

    def resources(self) -> Resources:
        with self._lock:
            if self._opened is None:
                self._opened = _open(self.settings())
            return self._opened

    def after_fork(self) -> None:
        # The parent's sockets are left alone; its lock may have been held.
        self._lock = threading.Lock()
        if self._opened is not None:
            self._opened.database.after_fork()
            self._opened = None


_process = _Process()


def configure(settings: Settings) -> Celery:
    """Configure the app and remember ``settings``; may be called again."""
    app.conf.update(celery_options(settings))
    app.conf.beat_schedule = beat_schedule()
    _process.remember(settings)
    return app


def known_settings() -> Settings:
    """Return the settings given to `configure`; raises RuntimeError before that."""
    return _process.settings()


def resources() -> Resources:
    """Return the resources of this process; raises RuntimeError before `configure`."""
    return _process.resources()


def after_fork() -> None:
    """Forget what the parent process opened; first thing in a forked child."""
    _process.after_fork()


def _open(settings: Settings) -> Resources:
    stores = open_stores(settings)
    database = open_database(settings, stores)
    leases = LeaseKeeper(
        database,
        lease_s=settings.journal.lease_s,
        most_s=settings.celery.hard_limit_s,
    )
    return Resources(settings, database, stores, open_gateway(settings, stores), leases)
