"""A started runner of `make run`, with small processes in place of the real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from config.clock import monotonic, sleep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
DRIVER = """
import sys
from contextlib import contextmanager
from pathlib import Path
from config.dev.__main__ import Plan, run
from config.dev.procfile import read_procfile
from config.settings import load_settings
plan = Plan(read_procfile(Path(sys.argv[1])), {}, private_redis=True)
sys.exit(run(load_settings(env_file=None), plan))
"""
# From the ready mark on the loop only turns when something wakes it.
SLOW_TICKS = """
import sys, threading, time
from pathlib import Path
from config.dev import supervisor
def slow(mark):
    while not mark.exists(): time.sleep(0.02)
    supervisor.TICK_S = 60
    time.sleep(0.5)
    print("slow", flush=True)
mark = Path(sys.argv[1]).parent / "var" / "run" / "ready"
threading.Thread(target=slow, args=(mark,), daemon=True).start()
"""
POLITE = """
import signal, sys, time
def finish(*_):
    time.sleep({finish_s})
    open({mark!r}, "w").write("finished")
    sys.exit(0)
signal.signal(signal.SIGTERM, finish)
print("plain words", flush=True)
while True: time.sleep(0.05)
"""


class Run:
    """A started runner and the questions the tests ask about it."""

    def __init__(
        self,
        folder: Path,
        processes: dict[str, str],
        *,
        slow_ticks: bool = False,
        **environ: str,
    ) -> None:
        self.var = folder / "var"
        procfile = folder / "Procfile"
        procfile.write_text("".join(f"{n}: {c}\n" for n, c in processes.items()))
        self.output = (folder / "output").open("w+")
        driver = SLOW_TICKS + DRIVER if slow_ticks else DRIVER
        self.process = subprocess.Popen(
            [sys.executable, "-c", driver, str(procfile)],
            cwd=ROOT,
            env=os.environ | {"VAR_DIR": str(self.var), "KUAIDA_ENV": "test"} | environ,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def until(self, what: Callable[[], Any], seconds: float = 60.0) -> Any:
        """Wait for a question to be answered truly; fail with the output."""
        end = monotonic() + seconds
        while monotonic() < end:
            if answer := what():
                return answer
            sleep(0.02)
        self.output.seek(0)
        pytest.fail(f"not in {seconds} s; output:\n{self.output.read()}")

    def said(self, words: str) -> Callable[[], bool]:
        """Return the question whether the runner has said ``words``."""
        return lambda: words in Path(self.output.name).read_text()

    def ready(self) -> bool:
        mark = self.var / "run" / "ready"
        return mark.exists() and mark.read_text() == "ready\n"

    def pid(self, name: str) -> int:
        try:
            return int((self.var / "run" / f"{name}.pid").read_text())
        except (OSError, ValueError):
            return 0

    def stop(self, number: int = signal.SIGTERM) -> float:
        began = monotonic()
        self.process.send_signal(number)
        self.process.wait(60)
        return monotonic() - began


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def python(code: str, folder: Path, name: str) -> str:
    path = folder / f"{name}.py"
    path.write_text(code)
    return f"exec {sys.executable} {path}"


def polite(folder: Path, name: str, *, finish_s: float) -> str:
    mark = str(folder / f"{name}.done")
    return python(POLITE.format(finish_s=finish_s, mark=mark), folder, name)


@contextmanager
def runs_in(folder: Path) -> Iterator[Callable[..., Run]]:
    """Yield what starts a runner in ``folder``; stop all that were started."""
    runs: list[Run] = []

    def begin(processes: dict[str, str], **how: Any) -> Run:
        runs.append(Run(folder, processes, **how))
        return runs[-1]

    try:
        yield begin
    finally:
        for run in runs:
            if run.process.poll() is None:
                run.stop()
            run.output.close()
