"""The whole stack as `make run` starts it, in a folder and on ports of its own."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

import redis

from tests.servers.http import Answer, call
from tests.servers.process import LocalProcess, free_port, wait_until
from tests.servers.wechat import WeChatControl

ROOT = Path(__file__).resolve().parents[2]
LISTENERS = {
    "web": "WEB_PORT",
    "ops": "OPS_PORT",
    "wechat": "SIM_PORT",
    "flower": "FLOWER_PORT",
    "redis": "REDIS_PORT",
}
READY_S, STOP_S = 180, 60
CODE2SESSION = "/sns/jscode2session"
# Limits stay on; one address plays everybody here, so they are wide.
WIDE = '{"login.ip": "100000/100000", "read.ip": "100000/100000", \
"write.ip": "100000/100000", "read.user": "100000/100000", \
"write.user": "100000/100000", "login.device": "100000/100000"}'


class House:
    """Start, watch and stop one `python -m config.dev`."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.var = folder / "var"
        self.ports = {name: free_port() for name in LISTENERS}
        ports = {LISTENERS[name]: str(port) for name, port in self.ports.items()}
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "VAR_DIR": str(self.var),
            "RATE_LIMITS": WIDE,
            "LOGIN_FAILURES": "1000/5",
            **ports,
            **variables,
        }
        self.output = folder / "make-run.log"
        command = [sys.executable, "-m", "config.dev"]
        self.runner = LocalProcess(
            command, log=self.output, env=self.environment, cwd=ROOT
        )
        self.wechat = WeChatControl(self.url("wechat"))

    def start(self) -> None:
        """Start and wait for the ready mark."""
        self.runner.start()
        self.runner.wait_ready(self.is_ready, within_s=READY_S)

    def is_ready(self) -> bool:
        """Whether the mark of a healthy stack is there."""
        mark = self.var / "run" / "ready"
        return mark.exists() and "ready" in mark.read_text().splitlines()

    def stop(self) -> None:
        """Stop as a terminal would: a signal to the whole group."""
        if self.runner.returncode is None:
            self.runner.signal(signal.SIGTERM, group=True)
            self.runner.wait(STOP_S)

    def end(self) -> None:
        """Leave nothing behind, whatever state the test left the house in."""
        try:
            self.stop()
        finally:
            for pid in self.alive():
                os.kill(pid, signal.SIGKILL)

    def alive(self) -> list[int]:
        """Return every process that runs with this house's folder."""
        mark = f"VAR_DIR={self.var}".encode()
        return [pid for pid in all_pids() if mark in variables_of(pid)]

    def url(self, name: str) -> str:
        """Return the base URL of a listener."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def pid(self, process: str) -> int:
        """Return the main process id of a Procfile process."""
        return int((self.var / "run" / f"{process}.pid").read_text())

    @staticmethod
    def children(pid: int) -> list[int]:
        """Return the ids of the processes ``pid`` has started."""
        path = Path(f"/proc/{pid}/task/{pid}/children")
        return [int(child) for child in path.read_text().split()]

    def secret(self, name: str) -> str:
        """Return one of the secrets made at first start."""
        return (self.var / "secrets" / name).read_text().strip()

    def api(self, method: str, path: str, **how: Any) -> Answer:
        """Call the public API."""
        return call(method, f"{self.url('web')}/api/v1{path}", **how)

    def ops(self, path: str, **how: Any) -> Answer:
        """Call the internal listener."""
        return call("GET", self.url("ops") + path, **how)

    def login(self, openid: str | None = None, device: str = "phone-1") -> Answer:
        """Log a WeChat user in with a fresh code."""
        if openid is None:
            openid = self.wechat.user()["openid"]
        body = {"code": self.wechat.code(openid), "device": {"id": device}}
        return self.api("POST", "/auth/login", body=body)

    def sql(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Look into the SQLite file; sees committed rows only."""
        link = sqlite3.connect(f"file:{self.var / 'kuaida.db'}?mode=ro", uri=True)
        link.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in link.execute(query, values)]
        finally:
            link.close()

    def redis(self) -> redis.Redis:
        """Return a plain client of the private Redis."""
        url = (self.var / "run" / "redis_url").read_text().strip()
        return redis.Redis.from_url(url, socket_timeout=30)

    def wait_enriched(
        self, user_id: str, logins: int = 1, within_s: float = 60
    ) -> None:
        """Wait until SQL counts ``logins`` of the user."""
        query = "SELECT login_count FROM users WHERE id = ?"

        def counted() -> bool:
            return [row["login_count"] for row in self.sql(query, user_id)] == [logins]

        wait_until(counted, within_s=within_s, what=f"{logins} logins in SQL")


def all_pids() -> list[int]:
    """Return the ids of every process."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def variables_of(pid: int) -> list[bytes]:
    """Return a process's environment, empty when it has ended or is not ours."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
