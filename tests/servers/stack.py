"""Chosen processes of the Procfile over a Redis and a database of their own.

Unlike `make run` nothing restarts a process here: the bench must notice a death, and
integration tests cause it. `tests.bench` and `tests/integration` use it.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import urllib3

from config.dev.procfile import read_procfile
from config.secrets import ensure_secrets
from tests.servers.http import call
from tests.servers.process import LocalProcess, free_port, port_answers, wait_until
from tests.servers.proxy import FaultProxy
from tests.servers.redis_server import RedisServer
from tests.servers.schema import migrate
from tests.servers.wechat import WeChatControl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
# Every limit stays on and is asked on each request; only the numbers are generous,
# because one machine plays all the users.
GENEROUS = "1000000/1000000"
CLASSES, DIMENSIONS = ("login", "read", "write"), ("ip", "user", "device", "app")


def generous_limits() -> str:
    """Return RATE_LIMITS with room for one address to play everybody."""
    pairs = (f'"{c}.{d}": "{GENEROUS}"' for c in CLASSES for d in DIMENSIONS)
    return "{" + ", ".join(pairs) + "}"


def answers(url: str) -> bool:
    """Whether ``url`` gives any HTTP answer below 500."""
    try:
        return call("GET", url).status < 500
    except urllib3.exceptions.HTTPError:
        return False


class Stack:
    """One set of processes over one Redis and one database, in ``folder``."""

    def __init__(self, folder: Path, database_url: str = "", **variables: str) -> None:
        self.folder = folder
        self.var = folder / "var"
        self.database_url = database_url or f"sqlite:///{folder / 'bench.db'}"
        self.redis = RedisServer(folder / "redis")
        self.ports = {name: free_port() for name in ("web", "ops", "wechat", "flower")}
        self.variables = variables
        self.running: dict[str, LocalProcess] = {}
        self.proxy: FaultProxy | None = None
        self.lines = read_procfile(ROOT / "Procfile")

    @property
    def environment(self) -> dict[str, str]:
        """What `make run` would set, with our ports and a private folder."""
        metrics = self.var / "run" / "metrics"
        metrics.mkdir(parents=True, exist_ok=True)
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "KUAIDA_ENV": "dev",
            "VAR_DIR": str(self.var),
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis.url,
            "WEB_PORT": str(self.ports["web"]),
            "OPS_PORT": str(self.ports["ops"]),
            "SIM_PORT": str(self.ports["wechat"]),
            "FLOWER_PORT": str(self.ports["flower"]),
            "WECHAT_API_BASE": self.url("wechat"),
            "WEB_PROCESSES": "2",
            "RATE_LIMITS": generous_limits(),
            "LOGINS_IN_FLIGHT": "200000",
            "LOG_FORMAT": "json",
            "PROMETHEUS_MULTIPROC_DIR": str(metrics),
            **self.variables,
        }

    def url(self, name: str) -> str:
        """Return the base URL of one of the listeners."""
        return f"http://127.0.0.1:{self.ports[name]}"

    @property
    def wechat(self) -> WeChatControl:
        """The control API of the stack's simulator."""
        return WeChatControl(self.url("wechat"))

    def prepare(self) -> None:
        """Start Redis, make secrets and tables."""
        self.redis.start()
        # As the relay does it, of which not every stack has one.
        self.redis.settle()
        ensure_secrets(self.var)
        migrate(self.database_url)

    def start(self, *names: str) -> None:
        """Start processes of the Procfile by name and wait until they listen."""
        for name in names:
            self.run(name, ["sh", "-c", self.lines[name]])
        for name in names:
            if name in self.ports:
                self._wait_listening(name)

    def run(self, name: str, command: list[str]) -> LocalProcess:
        """Start one process under ``name`` with the stack's environment."""
        log = self.folder / f"{name}.log"
        process = LocalProcess(command, log=log, env=self.environment, cwd=ROOT)
        process.start()
        self.running[name] = process
        return process

    def _wait_listening(self, name: str) -> None:
        port = self.ports[name]
        self.running[name].wait_ready(lambda: port_answers(port), within_s=120)

    def listen(self, name: str, command: list[str]) -> None:
        """Start ``command`` as a listener on a new port named ``name``."""
        self.ports[name] = free_port()
        filled = [part.replace("{port}", str(self.ports[name])) for part in command]
        self.run(name, filled)
        self._wait_listening(name)

    def stop(self, *names: str) -> None:
        """Stop the named processes, all of them when none is named."""
        for name in names or reversed(list(self.running)):
            if process := self.running.pop(name, None):
                process.stop(within_s=20)
        if not names:
            self.redis.stop()

    def wait(self, check: Callable[[], bool], *, within_s: float, what: str) -> None:
        """Wait for a condition of the stack."""
        wait_until(check, within_s=within_s, what=what, every_s=0.25)


@contextmanager
def standing(stack: Stack, *names: str) -> Iterator[Stack]:
    """Run the stack with the named processes and stop it whatever happens."""
    stack.folder.mkdir(parents=True, exist_ok=True)
    try:
        stack.prepare()
        stack.start(*names)
        if "web" in names:
            url = f"{stack.url('web')}/healthz"
            stack.wait(lambda: answers(url), within_s=120, what="web answers")
        yield stack
    finally:
        stack.stop()
