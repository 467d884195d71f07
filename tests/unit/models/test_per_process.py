"""Once-only initialisation: one opening a process, whatever threads and forks do."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from config.clock import sleep
from models.per_process import PerProcess

# A thread is opening at the moment of the fork; the child must not wait for it.
FORKING = """
import os, threading
from models.per_process import PerProcess

opening, go = threading.Event(), threading.Event()
parent = os.getpid()

def open_value():
    if os.getpid() == parent:
        opening.set()
        go.wait(60)
    return os.getpid()

value = PerProcess(open_value)
threading.Thread(target=value, daemon=True).start()
opening.wait(60)
child = os.fork()
if child == 0:
    os._exit(0 if value() == os.getpid() != parent else 1)
ended, status = os.waitpid(child, 0)
go.set()
assert value() == parent
raise SystemExit(os.waitstatus_to_exitcode(status))
"""


class OpeningFailed(Exception):
    """What was to be opened is away."""


class Opening:
    """Counts; slow enough for a crowd to gather; fails while told to."""

    def __init__(self, failures: int = 0) -> None:
        self.calls = 0
        self._failures = failures
        self._lock = threading.Lock()

    def __call__(self) -> object:
        with self._lock:
            self.calls += 1
        sleep(0.02)
        if self.calls <= self._failures:
            raise OpeningFailed
        return object()


def test_a_crowd_opens_once() -> None:
    opening = Opening()
    value = PerProcess(opening)

    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(lambda _: value(), range(16)))

    assert opening.calls == len(found) == 1


def test_a_failed_opening_leaves_nothing_behind() -> None:
    opening = Opening(failures=1)
    value = PerProcess(opening)

    with pytest.raises(OpeningFailed):
        value()

    assert value() is value()
    assert opening.calls == 2


def test_a_fork_opens_its_own_even_while_the_parent_opens() -> None:
    forked = subprocess.run(
        [sys.executable, "-c", FORKING],
        timeout=100,
        env={"PYTHONPATH": "."},
        check=False,
    )

    assert forked.returncode == 0
