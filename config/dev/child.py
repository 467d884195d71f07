"""One process of the Procfile: its start, its end and its next start."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from config.clock import monotonic
from config.dev.log_copy import LogCopy

FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0
# A process that lived this long was well: its next end is a new misfortune.
HEALTHY_S = 10.0
READ_BYTES = 65_536
READS = 64


@dataclass
class Child:
    """A process with a session of its own, so that no terminal signal reaches it.

    ``due_at`` is the moment of the next start (monotonic seconds) while it is down.
    """

    name: str
    command: str
    environ: Mapping[str, str]
    pid_file: Path
    log: LogCopy
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    due_at: float = 0.0
    wait_s: float = FIRST_WAIT_S
    ends: int = field(default=0)

    @property
    def running(self) -> bool:
        """Whether it was started and nobody has seen its end."""
        return self.process is not None

    @property
    def output(self) -> int:
        """The descriptor its output is read from."""
        if self.process is None or self.process.stdout is None:
            raise RuntimeError(f"{self.name} is not running")
        return self.process.stdout.fileno()

    def start(self, root: Path) -> int:
        """Start it in ``root`` and write its pid; return the pid."""
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", self.command],
            cwd=root,
            env=dict(self.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        os.set_blocking(self.output, False)
        self.started_at = monotonic()
        # For people and probes; a full disk must not end what keeps all others alive.
        with suppress(OSError):
            self.pid_file.write_text(f"{self.process.pid}\n")
        return self.process.pid

    def read(self) -> bool:
        """Copy what it has written since the last look; False at the end of it."""
        with suppress(BlockingIOError):
            # Bounded: one noisy process must not keep the loop from the others.
            for _ in range(READS):
                if not (chunk := os.read(self.output, READ_BYTES)):
                    return False
                self.log.feed(chunk)
        return True

    def ended(self) -> int | None:
        """Return the exit code if the main process has died, else None."""
        return None if self.process is None else self.process.poll()

    def bury(self) -> int:
        """Clean up after its death; return the pid it had.

        What it left behind is ended too: an orphaned server would keep the port,
        and an orphaned worker's result has nobody to report to.
        """
        if self.process is None or self.process.stdout is None:
            raise RuntimeError(f"{self.name} is not running")
        pid = self.process.pid
        self.signal_group(signal.SIGKILL)
        self.read()
        self.process.stdout.close()
        self.process = None
        self.pid_file.unlink(missing_ok=True)
        self._plan_restart()
        return pid

    def signal_leader(self, number: signal.Signals) -> None:
        """Signal the main process alone: it ends its children itself, politely."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def signal_group(self, number: signal.Signals) -> None:
        """Signal everything of its session."""
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)

    def _plan_restart(self) -> None:
        now = monotonic()
        if now - self.started_at > HEALTHY_S:
            self.wait_s = FIRST_WAIT_S
            self.ends = 0
        self.ends += 1
        self.due_at = now + self.wait_s
        self.wait_s = min(self.wait_s * 2, LONGEST_WAIT_S)
