"""The parts of `make run`: Redis, migrations, demo shop, the Procfile's processes.

`config/dev/__main__` puts them in order; `config/dev/supervisor` keeps them alive.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from config.clock import Deadline, monotonic
from config.dev.child import Child
from config.dev.log_copy import LogCopy, for_eyes
from config.dev.ports import free_redis_port
from config.dev.readiness import Readiness
from config.dev.redis_server import (
    find_server,
    pings,
    server_command,
    wait_for_redis,
)
from config.dev.supervisor import StartFailed, Supervisor
from config.settings import REDIS_URL_FILE, Settings

ROOT = Path(__file__).resolve().parents[2]
REDIS_START_S = 20.0
LAST_WORDS = 12
# Of the grace of a stop: running tasks give their work back and processes end.
HAND_BACK_S = 4.0
# Of the same: gunicorn, which looks once a second, ends those that took too long.
HARD_STOP_S = 1.0


class Stack:
    """Everything `make run` starts, and what it was told."""

    def __init__(
        self, settings: Settings, supervisor: Supervisor, readiness: Readiness
    ) -> None:
        self.settings = settings
        self.supervisor = supervisor
        self.readiness = readiness
        self.began = monotonic()
        self.environ = child_environment(settings)

    def seconds(self) -> float:
        """Return how long it has been since the start."""
        return monotonic() - self.began

    def child(self, name: str, command: str) -> Child:
        """Describe one process; Flower gets no metrics folder."""
        environ = self.environ | {"PROCESS": name}
        if name == "flower":
            # Its own registry would be replaced by the shared, empty one.
            del environ["PROMETHEUS_MULTIPROC_DIR"]
        log = LogCopy(
            self.settings.var_dir / "log" / f"{name}.log",
            max_bytes=self.settings.runner.log_file_bytes,
            show=bytes if self.settings.logs.format == "json" else for_eyes(),
        )
        pid_file = self.settings.run_dir / f"{name}.pid"
        return Child(name, command, environ, pid_file=pid_file, log=log)

    def start_redis(self) -> None:
        """Start the private Redis and tell everybody its address."""
        runner, var_dir = self.settings.runner, self.settings.var_dir
        program = find_server(runner.redis_server)
        if program is None:
            raise StartFailed("no Redis: apt install redis-server, or set REDIS_URL")
        port = free_redis_port(runner.redis_port)
        command = server_command(program, port=port, folder=var_dir / "redis")
        self.readiness.add("redis", partial(pings, port))
        self.supervisor.add(self.child("redis", command))
        if not wait_for_redis(port, seconds=REDIS_START_S):
            raise StartFailed(f"Redis does not start: see {var_dir}/log/redis.log")
        url = f"redis://127.0.0.1:{port}/0"
        (var_dir / REDIS_URL_FILE).write_text(url + "\n")
        self.environ |= {"REDIS_URL": url}

    def prepare(self, what: str, arguments: list[str]) -> None:
        """Run one step to its end; raises StartFailed with its last words."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self.environ | {"PROCESS": what.replace(" ", "_")},
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            words = (done.stdout + done.stderr).strip().splitlines()[-LAST_WORDS:]
            raise StartFailed(f"{what} failed:\n" + "\n".join(words))

    def start_all(self, commands: dict[str, str]) -> None:
        """Start the Procfile and return once all is healthy or a stop was asked."""
        for name, command in commands.items():
            self.supervisor.add(self.child(name, command))
        mark = self.supervisor.mark
        limit = Deadline.after_ms(self.settings.runner.start_timeout_s * 1000)
        self.supervisor.watch(lambda: mark.stands or limit.expired)
        if not mark.stands and not self.supervisor.stopping:
            raise StartFailed(f"not healthy in time: {', '.join(mark.missing)}")
        self.supervisor.came_up = mark.stands


def child_environment(settings: Settings) -> dict[str, str]:
    """Return what every process is told; a `.env` keeps working beside it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    grace_s = settings.runner.stop_grace_s
    finish_s = max(0.0, grace_s - HAND_BACK_S)
    answer_s = max(1, int(grace_s - HARD_STOP_S))
    return os.environ | {
        "PATH": path,
        "PYTHONUNBUFFERED": "1",
        # For the files; what the terminal shows is the runner's work.
        "LOG_FORMAT": "json",
        "VAR_DIR": str(settings.var_dir),
        "PROMETHEUS_MULTIPROC_DIR": str(settings.run_dir / "metrics"),
        "WORKER_CONCURRENCY": str(settings.celery.concurrency),
        "NOTIFIER_THREADS": str(settings.celery.notifier_threads),
        "BULK_CONCURRENCY": str(settings.celery.bulk_concurrency),
        "GRACEFUL_TIMEOUT_S": str(min(settings.http.graceful_timeout_s, answer_s)),
        "SOFT_SHUTDOWN_S": str(min(settings.celery.soft_shutdown_s, finish_s)),
    }
