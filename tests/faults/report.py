"""What the drills found, as the printed table and as `docs/resilience-report.md`."""

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

    from tests.faults.drill import Drill, Findings

LIBRARIES = ("celery", "kombu", "redis", "SQLAlchemy", "PyMySQL", "gunicorn", "gevent")
HEAD = ("promise", "drill", "kept", "acked", "lost", "doubled", "unknown", "hits",
        "longest", "took")  # fmt: skip
INTRO = """# Resilience report

Written by `make drill`; the drills are in `tests/faults`. Each breaks the system on
purpose and compares every acknowledged id with the database and the simulator's log.

- *acked*: ids the load generator was answered or whose commit it saw.
- *unknown*: requests without an answer; each happened once or not at all.
- *hits*: kills or cuts that hit work in flight.
- *longest*: the longest time from a fault to the finish of what it hit.
- *took*: with building up and taking down. Drills run side by side, each with servers
  of its own; those that measure speed run alone after them.

`kill -9` keeps the page cache, so nothing here proves what a power cut does: for Redis
the tail of its file is cut off instead. Packet loss is not simulated, only cuts, stalls
and silence. Other processes of the machine make times longer, never counts better.
"""
# The soak has a run and a part of its own, after all others.
SOAK = "## P23: soak"
SOAK_INTRO = 'A run of its own: `make drill DRILL_ARGS="--soak 30"`.'
MINUTES = 20


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

    @property
    def took(self) -> str:
        """The wall time in words; a run that takes too long says so."""
        late = self.seconds > MINUTES * 60 and not self.is_soak
        words = f"{self.seconds / 60:.1f} minutes in one run"
        return f"{words}, **longer than the {MINUTES} it may take**" if late else words

    @property
    def is_soak(self) -> bool:
        """Whether it was the soak, which has its own part of the report."""
        return [one.drill.promise for one in self.done] == ["P23"]


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
    kept = sum(not one.findings.broken for one in run.done)
    lines = [
        f"- date: {at:%Y-%m-%d %H:%M} UTC; seed `{run.seed}`",
        f"- took: {run.took}",
        f"- machine: {machine}; load at the end {os.getloadavg()[0]:.1f}",
        f"- versions: {versions()}",
        f"- drills: {len(run.done)}, promises kept: {kept}",
    ]
    return "\n".join(lines)


def document(run: Run, before: str) -> str:
    """Return the report; the soak and the other drills keep each other's part."""
    drills, _, soak = before.partition(SOAK)
    told = [details(one) for one in run.done]
    if run.is_soak:
        head = "\n\n".join([SOAK_INTRO, facts(run), summary(run.done)])
        soak = f"\n\n{head}{told[0].removeprefix(SOAK)}"
    else:
        drills = "\n\n".join([INTRO.strip(), facts(run), summary(run.done), *told])
    parts = [drills.strip(), f"{SOAK}{soak}" if soak else ""]
    return "\n\n".join(part for part in parts if part) + "\n"
