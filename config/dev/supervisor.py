"""Run the Procfile: start, copy logs, replace what died or froze, stop in order.

One loop, woken by output and by signals, also of a process that ended. Why not
honcho: `docs/decisions/0002-own-supervisor.md`.
"""

from __future__ import annotations

import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from config.clock import Deadline
from config.clock import monotonic as now
from config.dev.bell import Bell
from config.dev.child import Child
from config.dev.frozen import FrozenWatch
from config.dev.log_copy import say
from config.dev.ready_mark import ReadyMark

# How late a start, a frozen process or a stack that is healthy again may be noticed;
# an end wakes the loop at once.
TICK_S = 0.1
LATE_STOP_S = 2.0
# The simulator answers running tasks to the end, Redis takes their last word.
LATE = ("wechat", "redis")
# Ends before the stack was ever healthy that mean: it will not come up.
HOPELESS = 4
TAIL_LINES = 12


class StartFailed(Exception):
    """A process does not come up; the text is for the person at the terminal."""


class Supervisor:
    """Owns every started process; `watch` returns when a stop was asked for.

    ``came_up`` is set by whoever saw all of them healthy: from then on none that ends
    is a reason to give up.
    """

    def __init__(
        self,
        root: Path,
        run_dir: Path,
        mark: ReadyMark,
        *,
        grace_s: float,
        frozen_after_s: float,
    ) -> None:
        self._root = root
        self._run_dir = run_dir
        self._grace_s = grace_s
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._bell = Bell()
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._guard = _start_guard(root, run_dir)
        self._frozen = FrozenWatch(run_dir, frozen_after_s)
        self._asked = 0
        self.mark = mark
        self.came_up = False

    @property
    def stopping(self) -> bool:
        """Whether Ctrl-C or SIGTERM has come."""
        return self._asked > 0

    def ask_to_stop(self, *_signal: object) -> None:
        """Signal handler: the first asks politely, the second ends the patience."""
        self._asked += 1

    def add(self, child: Child) -> None:
        """Start one more process and keep it alive from now on."""
        self._children.append(child)
        self._start(child)

    def watch(self, done: Callable[[], bool] = lambda: False) -> None:
        """Keep all alive until ``done`` or a stop; before `came_up`: StartFailed."""
        while not self.stopping and not done():
            self._tick(restart=True)
            self._end_frozen()
            if self.mark.put_back() and self.came_up:
                say("all healthy again")

    def stop(self) -> None:
        """Stop all: main processes first and politely, Redis last."""
        self.mark.take_away()
        (self._run_dir / "redis_url").unlink(missing_ok=True)
        early = [child for child in self._children if child.name not in LATE]
        self._stop(early, self._grace_s)
        for name in LATE:
            late = [child for child in self._children if child.name == name]
            self._stop(late, LATE_STOP_S)
        for child in self._children:
            child.log.close()
        for path in self._run_dir.glob("*.alive"):
            path.unlink(missing_ok=True)
        self._tell_guard("bye")
        self._guard.wait()

    def _stop(self, children: Iterable[Child], grace_s: float) -> None:
        running = [child for child in children if child.running]
        for child in running:
            child.signal_leader(signal.SIGTERM)
        deadline = Deadline.after_ms(grace_s * 1000)
        while any(child.running for child in running) and not deadline.expired:
            self._tick(restart=False)
            if self._asked > 1:
                break
        for child in running:
            if child.running:
                say(f"{child.name} did not stop in {grace_s:g} s: killed")
            child.signal_group(signal.SIGKILL)
        while any(child.running for child in running):
            self._tick(restart=False)

    def _tick(self, *, restart: bool) -> None:
        events = self._selector.select(TICK_S)
        self._bell.silence()
        ended = self._ended()
        for key, _events in events:
            child: Child | None = key.data
            if child is not None and not child.read():
                self._forget(child)
        for child, code in ended:
            self._bury(child, code, restart=restart)
        for child in self._children:
            if restart and not child.running and now() >= child.due_at:
                self._start(child)

    def _ended(self) -> list[tuple[Child, int]]:
        """Return who has ended, with the code; at once nothing says that they run."""
        codes = [(child, child.ended()) for child in self._children]
        ended = [(child, code) for child, code in codes if code is not None]
        for child, _code in ended:
            self.mark.ended(child.name)
            child.pid_file.unlink(missing_ok=True)
        return ended

    def _end_frozen(self) -> None:
        """Kill who is frozen, with all it owns: a stopped process ignores SIGTERM."""
        names = self._frozen.frozen()
        for child in self._children:
            if child.name in names and child.running:
                say(f"{child.name} gives no sign of life: killed")
                child.signal_group(signal.SIGKILL)
                # Once is enough; its end may take a moment to be seen.
                self._frozen.started(child.name)

    def _start(self, child: Child) -> None:
        self._frozen.started(child.name)
        pid = child.start(self._root)
        self.mark.started(child.name)
        self._tell_guard(f"{'=' if child.name in LATE else '+'}{pid}")
        self._selector.register(child.output, selectors.EVENT_READ, child)

    def _forget(self, child: Child) -> None:
        if child.output in self._selector.get_map():
            self._selector.unregister(child.output)

    def _bury(self, child: Child, code: int, *, restart: bool) -> None:
        self._forget(child)
        self._tell_guard(f"-{child.bury()}")
        # The sign of life was of this process; the next one leaves its own.
        (self._run_dir / f"{child.name}.alive").unlink(missing_ok=True)
        if not restart:
            return
        if not self.came_up and child.ends >= HOPELESS:
            tail = child.log.tail(TAIL_LINES)
            raise StartFailed(
                f"{child.name} does not start (exit code {code}):\n{tail}"
            )
        say(f"{child.name} ended with {code}: starting it again")

    def _tell_guard(self, word: str) -> None:
        if self._guard.stdin is not None:
            try:
                self._guard.stdin.write(f"{word}\n".encode())
                self._guard.stdin.flush()
            except OSError:
                # Somebody killed the guard: all goes on, only unguarded.
                say("the guard is gone; stop with Ctrl-C, not with SIGKILL")
                self._guard.stdin = None


def _start_guard(root: Path, run_dir: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "config.dev.guard", str(run_dir)],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
