"""Which paths of WeChat are shut for the whole deployment, and who probes them.

One hash: a shut path with the moment (Redis time) at which its probe is due; taking the
probe moves the moment on. `wechat/breaker.py` decides, this only tells the others.

Redis away: `RedisUnavailable`; each process goes on with its own breaker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.clock import MS_PER_S
from models.stores.keys import SHUT_PATHS_LIFE_S
from models.stores.scripts import load_script

if TYPE_CHECKING:
    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys
    from models.stores.lane import Reply
    from models.stores.scripts import Script

SHUT_PATH = load_script("shut_path")
TAKE_PROBE = load_script("take_probe")
MICROS_PER_S = 1_000_000
LIFE_MS = SHUT_PATHS_LIFE_S * MS_PER_S


class ShutPaths:
    """What the processes know of each other's breakers."""

    def __init__(self, redis: SharedPipeline, keys: Keys) -> None:
        self._redis = redis
        self._key = keys.shut_paths

    def look(self) -> dict[str, float]:
        """Return the shut paths, each with the seconds until its probe (0 is due)."""
        (seconds, micros), fields = self._redis.execute_many(
            [("TIME",), ("HGETALL", self._key)]
        )
        now = int(seconds) + int(micros) / MICROS_PER_S
        pairs = zip(fields[::2], fields[1::2], strict=True)
        return {
            path.decode(): max(0.0, int(due) / MS_PER_S - now) for path, due in pairs
        }

    def shut(self, path: str, seconds: float) -> None:
        """Shut ``path`` for all; its probe is due after ``seconds``."""
        self._run(SHUT_PATH, path, seconds)

    def take_probe(self, path: str, hold_s: float) -> float | None:
        """Become the one who probes: 0, or the seconds to wait; None when not shut."""
        wait_ms = self._run(TAKE_PROBE, path, hold_s)
        return None if wait_ms is None else int(wait_ms) / MS_PER_S

    def open(self, path: str) -> None:
        """Open ``path`` for all."""
        self._redis.execute("HDEL", self._key, path)

    def _run(self, script: Script, path: str, seconds: float) -> Reply:
        ms = round(seconds * MS_PER_S)
        return self._redis.run(script, [self._key], [path, ms, LIFE_MS])
