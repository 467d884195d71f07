"""Is every process of the stack healthy? Asked in a thread while all come up."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from functools import partial
from pathlib import Path

from config.clock import now_ms
from config.dev.ports import answers, reachable
from config.settings import Settings

ASK_S = 2.0
OK = 200
# These have no port: they touch a file while they work (`workers/health.py`).
HEARTBEATS = ("relay", "worker", "notifier", "bulk", "beat")


class Readiness:
    """One check per process name; names without a check count as healthy."""

    def __init__(self, settings: Settings, *, since_ms: int | None = None) -> None:
        self._since_ms = now_ms() if since_ms is None else since_ms
        http_, flower = settings.http, settings.flower
        self._checks: dict[str, Callable[[], bool]] = {
            "web": lambda: _asks(http_.web_host, http_.web_port, "/healthz"),
            "ops": lambda: _asks(http_.ops_host, http_.ops_port, "/readyz"),
            "wechat": lambda: answers(http_.sim_host, http_.sim_port),
            "flower": lambda: answers(flower.host, flower.port),
        }
        for name in HEARTBEATS:
            path = settings.run_dir / f"{name}.alive"
            self._checks[name] = partial(self._touched, path)

    def missing(self, names: list[str]) -> list[str]:
        """Return the names that are not healthy yet."""
        return [name for name in names if not self._healthy(name)]

    def _healthy(self, name: str) -> bool:
        check = self._checks.get(name)
        return check is None or check()

    def _touched(self, path: Path) -> bool:
        try:
            return path.stat().st_mtime * 1000 >= self._since_ms
        except OSError:
            return False


def _asks(host: str, port: int, path: str) -> bool:
    link = http.client.HTTPConnection(reachable(host), port, timeout=ASK_S)
    try:
        link.request("GET", path)
        return link.getresponse().status == OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()
