"""What the drills found, in words: the table, each drill's part, and a run's facts."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from config.clock import now_ms
from tests.bench.report import table
from tests.servers.mariadb_server import find_mariadb
from tests.servers.redis_server import find_redis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.faults.drill import Drill, Findings, Size

LIBRARIES = ("celery", "kombu", "redis", "SQLAlchemy", "PyMySQL", "gunicorn", "gevent")
HEAD = ("promise", "drill", "kept", "acked", "lost", "doubled", "unknown", "hits",
        "longest", "took")  # fmt: skip
# What a run may take; who runs at full scale or soaks has time.
MINUTES = {"smoke": 3, "full": 20}


@dataclass(frozen=True, slots=True)
class Done:
    """One drill that was run."""

    drill: Drill
    findings: Findings
    seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """All drills of one run, and what it took from start to end."""

    done: Sequence[Done]
    seed: str
    seconds: float
    size: Size = "full"

    @property
    def took(self) -> str:
        """The wall time in words; a run that takes too long says so."""
        most, words = MINUTES.get(self.size), f"{self.seconds / 60:.1f} minutes"
        if most is not None and self.seconds > most * 60:
            return f"{words}, **longer than the {most} it may take**"
        return words


def summary(done: Sequence[Done]) -> str:
    """Return the table of all drills."""
    return table(HEAD, [row(one) for one in done])


def row(one: Done) -> list[str]:
    """Return one drill as the cells of `HEAD`."""
    verdict, counts = one.findings.verdict, ["-"] * 6
    if verdict is not None:
        longest = "-" if verdict.longest_s is None else f"{verdict.longest_s:.1f} s"
        counts = [
            str(verdict.acknowledged),
            str(len(verdict.lost)),
            str(len(verdict.doubled)),
            str(verdict.unknown),
            str(verdict.hits or "-"),
            longest,
        ]
    kept = "yes" if not one.findings.broken else "NO"
    return [one.drill.promise, one.drill.name, kept, *counts, f"{one.seconds:.0f} s"]


def details(one: Done) -> str:
    """Return what a drill does, its rule, its figures, and what was broken."""
    drill, findings = one.drill, one.findings
    lines = [
        f"## {drill.promise}: {drill.name}",
        "",
        f"What: {drill.does}.",
        "",
        f"Rule: {drill.rule}. Settings: {drill.setting_words}."
        + (" Ran alone." if drill.alone else ""),
        "",
        *(f"- {key.replace('_', ' ')}: {told}" for key, told in figures(findings)),
        *(f"- note: {words}" for words in findings.notes),
        *(f"- **broken: {words}**" for words in findings.broken),
    ]
    text = "\n".join(lines)
    return f"{text}\n\n{findings.table}" if findings.table else text


def figures(findings: Findings) -> list[tuple[str, object]]:
    """Return the figures in their order."""
    return list(findings.figures.items())


def versions() -> str:
    """Return what ran: servers and libraries."""
    servers = [
        first_line([find_redis(), "--version"]),
        first_line([find_mariadb("mariadbd"), "--version"]),
    ]
    found = [f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES]
    return "; ".join([*servers, ", ".join(found)])


def first_line(command: list[str]) -> str:
    """Return the first line a program prints, without the path it was called by."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    line = (done.stdout + done.stderr).strip().partition("\n")[0]
    return line.replace(command[0], command[0].rpartition("/")[2])


def facts(run: Run) -> str:
    """Return when, where and on what the drills ran."""
    at = datetime.fromtimestamp(now_ms() / 1000, UTC)
    machine = (
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}"
    )
    lines = [
        f"- date: {at:%Y-%m-%d %H:%M} UTC; seed `{run.seed}`",
        f"- took: {run.took}",
        f"- machine: {machine}; load at the end {os.getloadavg()[0]:.1f}",
        f"- versions: {versions()}",
    ]
    return "\n".join(lines)


def counted(run: Run) -> str:
    """Return how many promises were kept."""
    kept = sum(not one.findings.broken for one in run.done)
    return f"- drills: {len(run.done)}, promises kept: {kept}"
