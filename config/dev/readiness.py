"""Is every process of the stack healthy? `config/dev/ready_mark` asks in a thread."""

from __future__ import annotations

import http.client
from collections.abc import Callable

from config.dev.ports import answers, reachable
from config.settings import Settings

ASK_S = 2.0
OK = 200
# These have no port: they touch a file while they work (`workers/health.py`).
HEARTBEATS = ("relay", "worker", "notifier", "bulk", "beat")


class Readiness:
    """One check per process name; names without a check count as healthy.

    The loop removes the sign of life of a process that ended, so one that is there is
    of the process that runs.
    """

    def __init__(self, settings: Settings) -> None:
        http_, flower = settings.http, settings.flower
        self._checks: dict[str, Callable[[], bool]] = {
            "web": lambda: _asks(http_.web_host, http_.web_port, "/healthz"),
            "ops": lambda: _asks(http_.ops_host, http_.ops_port, "/readyz"),
            "wechat": lambda: answers(http_.sim_host, http_.sim_port),
            "flower": lambda: answers(flower.host, flower.port),
        }
        for name in HEARTBEATS:
            self._checks[name] = (settings.run_dir / f"{name}.alive").exists

    def add(self, name: str, check: Callable[[], bool]) -> None:
        """Take one more check, of a process whose address is chosen at its start."""
        self._checks[name] = check

    def missing(self, names: list[str]) -> list[str]:
        """Return the names that are not healthy yet."""
        return [name for name in names if not self._healthy(name)]

    def _healthy(self, name: str) -> bool:
        check = self._checks.get(name)
        return check is None or check()


def _asks(host: str, port: int, path: str) -> bool:
    link = http.client.HTTPConnection(reachable(host), port, timeout=ASK_S)
    try:
        link.request("GET", path)
        return link.getresponse().status == OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()
