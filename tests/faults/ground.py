"""The ground of one drill: a stack on MariaDB and Redis, its faults and its ledger.

`site.py` opens grounds; the drills break what is built here.
"""

from __future__ import annotations

import os
import random
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from redis import RedisError

from config.clock import monotonic, sleep
from models.stores.keys import Keys
from tests.faults.ledger import Ledger
from tests.faults.task_names import TABLE
from tests.servers.house import all_pids, variables_of
from tests.servers.process import LocalProcess, wait_until
from tests.servers.proxy import FaultProxy
from tests.servers.redis_server import RedisServer
from tests.servers.stack import Stack, answers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.faults.drill import Drill
    from tests.servers.mariadb_server import MariaDbServer

# What a reply with a task in it looks like on its way from Redis to a worker.
CARRIES_TASK = b"drill_count"
ENTRIES = {
    "-A workers.celery worker": "-A tests.faults.worker_app worker",
    "-A workers.celery beat": "-A tests.faults.worker_app beat",
    "workers.relay": "tests.faults.relay_app",
}
OPEN = "SELECT COUNT(*) AS n FROM outbox WHERE state IN ('ready', 'sent')"


class Ground:
    """Processes, stores and the links between them, all ours to break."""

    def __init__(
        self,
        folder: Path,
        mariadb: MariaDbServer,
        *,
        seed: str,
        drill: Drill,
        settings: Mapping[str, str],
    ) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a drill repeats by its seed
        self.mariadb = mariadb
        self.ledger = Ledger(folder / "acknowledged.jsonl")
        name = f"drill_{folder.name.replace('-', '_')}"
        self.stack = Stack(folder, mariadb.create(name), **settings)
        self.stack.redis = RedisServer(folder / "redis", **drill.redis)
        self.links = {
            "store": FaultProxy(self.redis.port),
            "broker": FaultProxy(self.redis.port, CARRIES_TASK),
            "sql": FaultProxy(mariadb.port),
        }
        self._engine = sa.create_engine(self.stack.database_url, pool_pre_ping=True)
        self._use_entries()
        self._use_links(drill.links)

    @property
    def redis(self) -> RedisServer:
        """The stack's Redis: store and broker."""
        return self.stack.redis

    def _use_entries(self) -> None:
        for ours, entry in ENTRIES.items():
            for name, line in self.stack.lines.items():
                self.stack.lines[name] = line.replace(ours, entry)

    def _use_links(self, names: tuple[str, ...]) -> None:
        url = self.stack.database_url
        ports = {name: link.port for name, link in self.links.items()}
        through = {
            "store": {"REDIS_URL": f"redis://127.0.0.1:{ports['store']}/0"},
            "broker": {"BROKER_URL": f"redis://127.0.0.1:{ports['broker']}/0"},
            "sql": {
                "DATABASE_URL": url.replace(
                    f":{self.mariadb.port}/", f":{ports['sql']}/"
                )
            },
        }
        for name in names:
            self.stack.variables = {**through[name], **self.stack.variables}

    def open(self, *processes: str) -> None:
        """Start the stores and the named processes."""
        self.stack.folder.mkdir(parents=True, exist_ok=True)
        self.stack.prepare()
        self.execute(TABLE)
        self.stack.start(*processes)
        if "web" in processes:
            url = f"{self.stack.url('web')}/healthz"
            wait_until(lambda: answers(url), within_s=30, what="web answers")

    def close(self) -> None:
        """End everything that belongs to this ground, orphans too."""
        for link in self.links.values():
            link.heal()
        # Nobody is asked first: a graceful stop has a drill of its own.
        for name in list(self.stack.running):
            self.kill(name)
        for pid in self.orphans():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.redis.process.thaw()
        self.redis.stop()
        for link in self.links.values():
            link.close()
        self._engine.dispose()
        self.ledger.close()

    def orphans(self) -> list[int]:
        """Return every process that runs with this ground's folder."""
        mark = f"VAR_DIR={self.stack.var}".encode()
        return [pid for pid in all_pids() if mark in variables_of(pid)]

    def restart(self, name: str, *, group: bool = True) -> None:
        """Kill a process, its children too if ``group``, and start it again."""
        self.kill(name, group=group)
        self.stack.start(name)

    def kill(self, name: str, *, group: bool = True) -> LocalProcess:
        """Kill a process as a power cut would; ``group`` takes its children along."""
        process = self.stack.running.pop(name)
        with suppress(ProcessLookupError):
            # Children may have outlived it: the group is there as long as they are.
            process.signal(signal.SIGKILL, group=group)
        process.kill()
        return process

    def sql(self, query: str, **values: object) -> list[dict[str, Any]]:
        """Look into the database, past the links; committed rows only."""
        with self._engine.connect() as link:
            found = link.execute(sa.text(query), values).mappings().all()
        return [dict(row) for row in found]

    def number(self, query: str, **values: object) -> int:
        """Return the one number a query gives."""
        return int(next(iter(self.sql(query, **values)[0].values())) or 0)

    def execute(self, statement: str, rows: list[dict[str, Any]] | None = None) -> None:
        """Change the database directly, in one commit."""
        with self._engine.begin() as link:
            link.execute(sa.text(statement), rows or {})

    def open_work(self) -> int:
        """Count what is accepted and not finished: outbox rows and stream entries."""
        try:
            with self.redis.client() as client:
                logins = int(client.xlen(Keys("kuaida").logins))
        except RedisError:
            logins = 1
        return self.number(OPEN) + logins

    def wait_finished(self, patience_s: float) -> float | None:
        """Wait until both journals are empty, as `wait_gone` does."""
        return wait_gone(self.open_work, patience_s)


def wait_gone(count: Callable[[], int], patience_s: float) -> float | None:
    """Wait until nothing is left to ``count``; the seconds it took.

    None when it did not shrink for ``patience_s``: a slow machine is no fault as long
    as it gets on. Never raises: what is left the checker calls lost.
    """
    start = moved = monotonic()
    least = left = count()
    while left:
        if left < least:
            least, moved = left, monotonic()
        if monotonic() - moved > patience_s:
            return None
        sleep(0.25)
        left = count()
    return monotonic() - start
