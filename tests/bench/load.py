"""Runs wrk and reads its report; the Lua scripts beside this file make the requests."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import ServerError

HERE = Path(__file__).parent
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
LATENCY = re.compile(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s|m)\s*$", re.MULTILINE)
TOTAL = re.compile(r"(\d+) requests in ([\d.]+)(ms|s|m)")
REFUSED = re.compile(r"Non-2xx or 3xx responses: (\d+)")
BROKEN = re.compile(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)")
MISSING = "wrk is not installed: apt-get install wrk (make bench says so too)"


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk is asked to do; ``script`` and its ``arguments`` make the requests."""

    url: str
    connections: int
    seconds: int
    script: str | None = None
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """What wrk saw; latencies in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    refused: int
    broken: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def find_wrk() -> str:
    """Return the path of wrk; raises `ServerError`."""
    if found := shutil.which("wrk"):
        return found
    raise ServerError(MISSING)


def run(load: Load) -> Answered:
    """Apply ``load`` and return what came back."""
    command = [find_wrk(), "-t1", f"-c{load.connections}", f"-d{load.seconds}s"]
    command += ["--latency", "--timeout", "10s"]
    if load.script:
        command += ["-s", str(HERE / load.script)]
    command += [load.url, "--", *load.arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not TOTAL.search(done.stdout):
        raise ServerError(done.stdout + done.stderr)
    return parse(done.stdout)


def parse(text: str) -> Answered:
    """Read wrk's report."""
    total = TOTAL.search(text)
    assert total is not None
    spent = float(total[2]) * UNITS[total[3]] / 1000
    at = {share: float(n) * UNITS[unit] for share, n, unit in LATENCY.findall(text)}
    refused, broken = REFUSED.search(text), BROKEN.search(text)
    return Answered(
        requests=int(total[1]),
        seconds=spent,
        p50=at["50"],
        p99=at["99"],
        refused=int(refused[1]) if refused else 0,
        broken=sum(map(int, broken.groups())) if broken else 0,
    )
