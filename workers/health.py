"""Signs of life: each process touches ``VAR_DIR/run/<name>.alive`` while it turns.

The file says that the process as a whole turns, also while a store is away: whoever
starts the processes kills one whose file stays as it is. The figure for alerts says
more: that the main loop does its work.

`python -m workers.health worker` ends with 0 while the file is fresh; the runner and
the health checks of compose ask it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from config.clock import now_ms
from config.logging import get_logger
from config.metrics.processes import FROZEN_REPLACED, LAST_SIGN_OF_LIFE
from config.settings import Settings, load_settings

# Beat sleeps up to 5 s and a worker beats every 2 s; a stop of this length is a fault.
MAX_AGE_S = 30.0

log = get_logger(__name__)


def heartbeat_path(settings: Settings, process: str) -> Path:
    """Return the file that ``process`` touches."""
    return settings.run_dir / f"{process}.alive"


def touch_heartbeat(path: Path) -> None:
    """Say that the main loop turns, to alerts and by the file."""
    LAST_SIGN_OF_LIFE.labels(path.stem).set(now_ms() / 1000)
    touch_file(path)


def touch_file(path: Path) -> None:
    """Leave a sign of life; a full disk must not stop the work."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError:
        return


def count_replacement(path: Path) -> None:
    """Count the predecessor that `make run` killed as frozen, if there was one.

    ``path`` is the heartbeat. The runner itself has no metrics, so it leaves a file.
    """
    try:
        path.with_suffix(".frozen").unlink()
    except OSError:
        return
    FROZEN_REPLACED.labels(path.stem).inc()
    log.error("the process before was frozen and was killed", process=path.stem)


def is_fresh(path: Path, max_age_s: float = MAX_AGE_S) -> bool:
    """Whether the file was touched within ``max_age_s`` seconds."""
    try:
        age_ms = now_ms() - path.stat().st_mtime_ns // 1_000_000
    except OSError:
        return False
    return age_ms <= max_age_s * 1000


def main(arguments: list[str]) -> int:
    """Return 0 when every named process shows signs of life, else 1."""
    settings = load_settings()
    paths = [heartbeat_path(settings, name) for name in arguments]
    return 0 if paths and all(map(is_fresh, paths)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
