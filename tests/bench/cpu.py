"""CPU time and memory of process trees, read from the operating system.

CPU microseconds a request are steadier than requests a second on a shared machine, so
the report leans on them; `stack` names the trees, `rows` takes the differences.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Stat:
    """One line of ``/proc/<pid>/stat``: parent and CPU seconds, dead children's too."""

    pid: int
    parent: int
    seconds: float


def read_stat(pid: int) -> Stat | None:
    """Return the process's line, None when it has ended."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The name in parentheses may hold spaces; the fields that matter come after it.
    fields = text.rpartition(")")[2].split()
    ticks = sum(int(fields[n]) for n in (11, 12, 13, 14))
    return Stat(pid, int(fields[1]), ticks / TICKS)


def all_stats() -> dict[int, Stat]:
    """Return every process of the machine by id."""
    pids = (int(path.name) for path in PROC.iterdir() if path.name.isdigit())
    return {stat.pid: stat for pid in pids if (stat := read_stat(pid))}


def tree(root: int, stats: dict[int, Stat]) -> list[int]:
    """Return the ids of ``root`` and everything it started."""
    children: dict[int, list[int]] = {}
    for stat in stats.values():
        children.setdefault(stat.parent, []).append(stat.pid)
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        if pid in stats:
            found.append(pid)
            queue.extend(children.get(pid, []))
    return found


def tree_seconds(root: int) -> float:
    """Return the CPU seconds used so far by ``root`` and everything it started."""
    stats = all_stats()
    return sum(stats[pid].seconds for pid in tree(root, stats))


def machine_seconds() -> float:
    """Return the busy CPU seconds of the whole machine since it started."""
    fields = (PROC / "stat").read_text().splitlines()[0].split()[1:9]
    user, nice, system, _idle, _wait, irq, soft, _steal = (int(f) for f in fields)
    return (user + nice + system + irq + soft) / TICKS


def pss_mb(root: int) -> list[float]:
    """Return the memory of each process of the tree, shared pages divided fairly."""
    sizes = []
    for pid in tree(root, all_stats()):
        try:
            text = (PROC / str(pid) / "smaps_rollup").read_text()
        except OSError:
            continue
        line = next(x for x in text.splitlines() if x.startswith("Pss:"))
        sizes.append(int(line.split()[1]) / 1024)
    return sizes


def commandline(pid: int) -> str:
    """Return a process's command line, empty when it has ended."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
