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

`kill -9` keeps the page cache, so nothing here proves what a power cut does: for Redis
the tail of its file is cut off instead. Packet loss is not simulated, only cuts, stalls
and silence. Other processes of the machine make times longer, never counts better.
"""


@dataclass(frozen=True, slots=True)
class Done:
    """One drill that was run."""

    drill: Drill
    findings: Findings
    seconds: float


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
        f"Rule: {drill.rule}. Settings: {drill.setting_words}.",
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


def replaced(text: str, one: Done) -> str:
    """Return a report with the row and the part of one drill that was run again."""
    name, promise = one.drill.name, one.drill.promise
    fresh = table(HEAD, [row(one)]).split("\n")[2]
    lines = [fresh if f"| {name} " in line else line for line in text.split("\n")]
    before, heading, after = "\n".join(lines).partition(f"## {promise}: {name}\n")
    rest = after.partition("\n## ")[2] if heading else ""
    parts = [before.strip(), details(one), f"## {rest.strip()}" if rest else ""]
    return "\n\n".join(part for part in parts if part) + "\n"


def document(done: Sequence[Done], seed: str) -> str:
    """Return the whole report."""
    at = datetime.fromtimestamp(now_ms() / 1000, UTC)
    machine = (
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}"
    )
    kept = sum(not one.findings.broken for one in done)
    facts = [
        f"- date: {at:%Y-%m-%d %H:%M} UTC; seed `{seed}`",
        f"- machine: {machine}; load at the end {os.getloadavg()[0]:.1f}",
        f"- versions: {versions()}",
        f"- drills: {len(done)}, promises kept: {kept}",
    ]
    parts = [INTRO, "\n".join(facts), summary(done), *map(details, done)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"
