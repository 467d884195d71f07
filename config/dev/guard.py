"""Stop everything when the supervisor itself was killed; standard library only.

Started by `config/dev/supervisor`, which tells it each process on its standard
input: ``+pid``, ``=pid`` for one to be stopped late, ``-pid`` when it ended, and
``bye`` at a regular end. The end of the input without ``bye`` means the supervisor is
gone: then the order of a regular stop holds.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from config.clock import Deadline, sleep

GRACE_MS = 8000
LATE_MS = 3000
POLL_S = 0.05


def main(run_dir: Path) -> None:
    """Watch until the supervisor says bye or disappears."""
    # Ctrl-C reaches the whole terminal group; the guard must outlive it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    kinds: dict[int, str] = {}
    for line in sys.stdin:
        word = line.strip()
        if word == "bye":
            return
        kinds[int(word[1:])] = word[0]
    # Nobody watches any more, so nobody can say that all is well.
    (run_dir / "ready").unlink(missing_ok=True)
    _stop([pid for pid, kind in kinds.items() if kind == "+"], GRACE_MS)
    _stop([pid for pid, kind in kinds.items() if kind == "="], LATE_MS)
    for path in [*run_dir.glob("*.pid"), run_dir / "redis_url"]:
        path.unlink(missing_ok=True)


def _stop(leaders: list[int], grace_ms: int) -> None:
    for pid in leaders:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = Deadline.after_ms(grace_ms)
    while any(map(_alive, leaders)) and not deadline.expired:
        sleep(POLL_S)
    for pid in leaders:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Where nobody collects orphans a dead process stays in the table as "Z".
    with suppress(OSError):
        status = Path(f"/proc/{pid}/stat").read_text()
        return status.rpartition(")")[2].split()[0] != "Z"
    return True


if __name__ == "__main__":
    main(Path(sys.argv[1]))
