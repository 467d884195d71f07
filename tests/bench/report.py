"""The tables of the bench as plain text and as `docs/bench.md`."""

from __future__ import annotations

import os
import platform
import statistics
from typing import TYPE_CHECKING

from tests.bench.rows import YARDSTICK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.drain import Drained
    from tests.bench.rows import Result

HEAD = (
    "row",
    "req/s",
    "p50 ms",
    "p99 ms",
    "CPU us/req (all runs)",
    "ratio",
    "PSS MB (largest/sum)",
    "non-2xx",
    "broken",
)


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table that also reads well in a terminal."""
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in (head, rule, *lines)
    )


def ratios(result: Result, yardstick: Result) -> list[float]:
    """CPU against the yardstick of the same repetition."""
    pairs = zip(result.micros(), yardstick.micros(), strict=True)
    return [ours / theirs for ours, theirs in pairs]


def row_line(result: Result, yardstick: Result) -> list[str]:
    """Return one result as the cells of `HEAD`."""
    shares = sorted(ratios(result, yardstick))
    memory = max((run.memory for run in result.runs), key=sum)
    mark = "*" if result.disturbed() else ""
    return [
        result.row.name + mark,
        f"{result.median(lambda run: run.answered.rate):.0f}",
        f"{result.median(lambda run: run.answered.p50):.1f}",
        f"{result.median(lambda run: run.answered.p99):.1f}",
        " ".join(f"{value:.0f}" for value in result.micros()),
        f"{shares[len(shares) // 2]:.2f}",
        f"{max(memory):.0f}/{sum(memory):.0f}",
        str(sum(run.answered.refused for run in result.runs)),
        str(sum(run.answered.broken for run in result.runs)),
    ]


def split_line(result: Result) -> list[str]:
    """Return where the CPU of a row went, microseconds a request by process."""
    shown = [f"{name} {value:.0f}" for name, value in split(result).items() if value]
    return [result.row.name, ", ".join(shown)]


def split(result: Result) -> dict[str, float]:
    """Median CPU microseconds a request of each process, the judged server first."""
    names = sorted(result.runs[0].cpu, key=lambda name: name != result.row.server)
    return {
        name: round(statistics.median(run.micros(name) for run in result.runs))
        for name in names
    }


def rows_text(results: Sequence[Result]) -> str:
    """Return the main table, the CPU split and what the marks mean."""
    yardstick = next(r for r in results if r.row.name == YARDSTICK)
    main = table(HEAD, [row_line(result, yardstick) for result in results])
    parts = table(("row", "CPU us/req by process"), [split_line(r) for r in results])
    return f"{main}\n\n{parts}\n\n`*`: more than 0.3 core went to foreign processes."


def drain_text(drained: Sequence[Drained]) -> str:
    """Return the table of enrichment."""
    head = ("into", "logins", "logins/s", "relay us", "worker us", "SQL us", "Redis us")
    lines = [
        [d.into, str(d.logins), f"{d.rate:.0f}", *(f"{us:.0f}" for us in d.micros)]
        for d in drained
    ]
    return table(head, lines)


def cores_text(login: Result, drained: Sequence[Drained]) -> str:
    """Return how many cores 10,000 logins a second would need."""
    parts = split(login)
    front = parts[login.row.server] + parts["redis"]
    lines = [
        f"{d.into}: (web and Redis {front:.0f} us + enrichment {sum(d.micros):.0f} us) "
        f"x 10,000/s = {(front + sum(d.micros)) / 100:.1f} cores"
        for d in drained
    ]
    note = "Linear, load generator and WeChat elsewhere; an extrapolation, not a run."
    return "\n".join([*lines, note])


def machine_text() -> str:
    """Return what the figures were taken on."""
    cores = os.cpu_count()
    system = f"{platform.system()} {platform.release()}"
    python = f"Python {platform.python_version()}"
    return f"{cores} cores, {platform.machine()}, {system}, {python}"
