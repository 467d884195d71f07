"""One child process of a test: started, awaited, frozen, killed, never orphaned.

`redis_server`, `mariadb_server` and the bench build on this; nothing here knows what
the process is.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# Below those the kernel gives to outgoing connections: while a server is down nobody
# else gets its port, nor does a client that calls it reach itself.
PORTS = range(15_000, 32_000)
# Processes of one test run choose among ports of their own, each of them only once: one
# that was given out is free to the eye until its server listens.
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_ours = PORTS[_worker::_workers]
_given: set[int] = set()


class ServerError(RuntimeError):
    """A server of the tests did not start or did not stop; the text says why."""


def free_port() -> int:
    """Return a loopback TCP port of `PORTS` that is nobody's, nor given out before."""
    while True:
        port = secrets.choice(_ours)
        if port in _given:
            continue
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port


def port_answers(port: int) -> bool:
    """Whether something accepts connections on the loopback ``port``."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(
    check: Callable[[], object], *, within_s: float, what: str, every_s: float = 0.05
) -> None:
    """Poll ``check`` until it is true; raises `ServerError` naming ``what``."""
    # The true time, also in a test that holds the time of its own process.
    pause, end = threading.Event(), perf_counter() + within_s
    while not check():
        if perf_counter() > end:
            msg = f"not within {within_s:g} s: {what}"
            raise ServerError(msg)
        pause.wait(every_s)


class LocalProcess:
    """A child in a session of its own, its output kept in ``log``.

    The session makes the whole tree reachable by one signal, and keeps a Ctrl-C in
    the terminal from reaching it before the fixture does.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.command = [str(part) for part in command]
        self.log = log
        self._env = None if env is None else dict(env)
        self._cwd = cwd
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The child's process id, which is also its group id."""
        if self._child is None:
            msg = f"{self.command[0]} was not started"
            raise ServerError(msg)
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, None while the child runs."""
        return None if self._child is None else self._child.poll()

    @property
    def alive(self) -> bool:
        """Whether the child was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start the child, appending its output to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as sink:
            self._child = self._spawn(sink)

    def _spawn(self, sink: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=self._env,
            cwd=self._cwd,
            start_new_session=True,
        )

    def wait_ready(self, check: Callable[[], object], *, within_s: float) -> None:
        """Wait for ``check``; a child that exits first is reported with its log."""

        def ready() -> object:
            if self.returncode is not None:
                msg = f"{self.command[0]} exited {self.returncode}:\n{self.tail()}"
                raise ServerError(msg)
            return check()

        wait_until(ready, within_s=within_s, what=f"{self.command[0]} ready")

    def tail(self, lines: int = 30) -> str:
        """Return the last ``lines`` lines of the log."""
        if not self.log.exists():
            return "(no output)"
        text = self.log.read_text(errors="replace").splitlines()
        return "\n".join(text[-lines:])

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to the child, or to everything in its session's group."""
        if group:
            os.killpg(self.pid, number)
        else:
            os.kill(self.pid, number)

    def freeze(self) -> None:
        """Stop the child in its tracks: it accepts and never answers."""
        self.signal(signal.SIGSTOP)
        # Its threads stop one by one; until the last has, some are still answering.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let a frozen child go on."""
        if self.alive:
            self.signal(signal.SIGCONT)

    def wait(self, within_s: float) -> int:
        """Wait for the exit and return its status; raises `ServerError`."""
        if self._child is None:
            return 0
        try:
            return self._child.wait(within_s)
        except subprocess.TimeoutExpired as late:
            msg = f"{self.command[0]} still runs after {within_s:g} s"
            raise ServerError(msg) from late

    def stop(self, within_s: float = 10.0) -> None:
        """End the child: asked first, then killed with its whole group."""
        if self._child is None:
            return
        if self._child.poll() is None:
            self.thaw()
            self._child.terminate()
        try:
            self.wait(within_s)
        except ServerError:
            self.signal(signal.SIGKILL, group=True)
            self.wait(within_s)
        self._child = None

    def kill(self) -> None:
        """End the child at once, as a power cut would."""
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        self._child = None
