"""Web processes that are replaced after so many requests: no request is lost by it."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import TYPE_CHECKING

import pytest

from config.clock import monotonic, sleep
from tests.integration.raw_http import ROOT, Phone, Server, serving
from web.server.connection import IDLE_LOOK_S

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_S = 60
OPTIONS = """
import runpy
options = runpy.run_path("config/gunicorn.py")
print(options["max_requests"], options["max_requests_jitter"])
"""


def ask(phone: Phone | None, server: Server, *fields: str) -> tuple[Phone | None, int]:
    """Ask as a client does that keeps its connection until told to close."""
    phone = phone or Phone(server.port)
    answer = phone.get("/slow?0.01", *fields).answer()
    assert answer.status == 200
    if answer.fields.get("connection") == "close":
        phone.socket.close()
        phone = None
    return phone, int(answer.body)


def visit(server: Server, met: set[int], pause_s: float, fields: list[str]) -> None:
    """Make requests until four processes have answered somebody."""
    phone, end = None, monotonic() + LONGEST_S
    while len(met) < 4 and monotonic() < end:
        phone, pid = ask(phone, server, *fields)
        met.add(pid)
        sleep(pause_s)
    if phone is not None:
        phone.socket.close()


def test_recycling_refuses_no_request(tmp_path: Path) -> None:
    options = ("--workers", "2", "--max-requests", "40", "--graceful-timeout", "2")
    kinds = list(product((0.0, 0.05), ([], ["Connection: close"])))
    met: set[int] = set()
    with serving(tmp_path, *options) as server, ThreadPoolExecutor(8) as phones:
        made = [phones.submit(visit, server, met, *kind) for kind in kinds * 2]
        for each in made:
            each.result()

    assert len(met) >= 4


def test_processes_retire_one_after_the_other(tmp_path: Path) -> None:
    options = ("--workers", "2", "--max-requests", "5", "--graceful-timeout", "30")
    with serving(tmp_path, *options) as server:
        for _ in range(80):
            ask(None, server, "Connection: close")

        assert server.log().count("leaves after its last request") == 1


def test_a_retiring_worker_still_hears_who_keeps_a_connection(tmp_path: Path) -> None:
    with serving(tmp_path, "--max-requests", "2", "--keep-alive", "5") as server:
        idle, first = ask(None, server)
        ask(None, server)
        # By now it has looked, and closed no connection a request might cross.
        sleep(IDLE_LOOK_S * 2)

        left, second = ask(idle, server)

    assert (left, second) == (None, first)


@pytest.mark.parametrize(
    ("processes", "options"), [("1", "0 0"), ("2", "500000 50000")]
)
def test_a_single_process_stays(tmp_path: Path, processes: str, options: str) -> None:
    given = {"VAR_DIR": str(tmp_path), "WEB_PROCESSES": processes, "PROCESS": "web"}

    done = subprocess.run(
        [sys.executable, "-c", OPTIONS],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **given},
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout.strip() == options
