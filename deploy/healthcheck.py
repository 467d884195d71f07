"""Is this container's process healthy? Standard library only; 0 is yes.

``http://…`` must answer 200, ``tcp://host:port`` must accept, ``file:///path`` must
have been touched lately (the heartbeat of `workers/health.py`). An engine restarts no
container for being unhealthy, so a process that left no sign of life for
`FROZEN_LOOKS` looks is killed here: its container ends with it, and the restart policy
starts the next.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from config.clock import now_ms

TIMEOUT_S = 3.0
HEARTBEAT_MS = 60_000
# One each 10 s. Counted, not timed: a paused container finds every file old at once.
FROZEN_LOOKS = 4
OK = 200
INIT = "1"
PROC = Path("/proc")


def healthy(address: str) -> bool:
    """Ask once; OSError means no."""
    target = urlsplit(address)
    if target.scheme == "file":
        return turns(Path(target.path))
    host, port = target.hostname or "", target.port or 0
    if target.scheme == "tcp":
        socket.create_connection((host, port), timeout=TIMEOUT_S).close()
        return True
    link = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    link.request("GET", target.path)
    return link.getresponse().status == OK


def turns(heartbeat: Path) -> bool:
    """Whether the file is fresh; ends the container when nothing touches it."""
    changed = heartbeat.stat().st_mtime_ns
    if looks_without_change(heartbeat.with_suffix(".looks"), changed) >= FROZEN_LOOKS:
        for pid in children_of_init(PROC):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # Should the folder outlive the container: the next process begins anew.
        heartbeat.unlink()
        return False
    return now_ms() - changed // 1_000_000 < HEARTBEAT_MS


def looks_without_change(memory: Path, changed: int) -> int:
    """Return how many looks in a row saw this moment before; remember this look."""
    try:
        seen, looks = map(int, memory.read_text().split())
    except (OSError, ValueError):
        seen, looks = changed, -1
    looks = looks + 1 if seen == changed else 0
    memory.write_text(f"{changed} {looks}\n")
    return looks


def children_of_init(proc: Path) -> list[int]:
    """Return the processes whose parent is 1.

    `init: true` makes the engine's small init process 1 and the service its child. This
    process is not among them: its parent lives outside the container.
    """
    pids = [int(path.name) for path in proc.iterdir() if path.name.isdigit()]
    return [pid for pid in pids if _parent(proc / str(pid) / "stat") == INIT]


def _parent(stat: Path) -> str | None:
    try:
        # pid (name, which may hold anything) state parent ...
        return stat.read_text().rpartition(")")[2].split()[1]
    except OSError:
        return None


def main(address: str) -> int:
    """Return the exit code a container engine wants."""
    try:
        return 0 if healthy(address) else 1
    except (OSError, http.client.HTTPException):
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
