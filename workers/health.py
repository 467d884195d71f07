"""Signs of life: each process touches ``VAR_DIR/run/<name>.alive`` while it works.

`python -m workers.health worker` ends with 0 while the file is fresh; the runner and
the health checks of compose ask it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from config.clock import now_ms
from config.metrics import LAST_SIGN_OF_LIFE
from config.settings import Settings, load_settings

# Beat sleeps up to 5 s and a worker beats every 2 s; a stop of this length is a fault.
MAX_AGE_S = 30.0


def heartbeat_path(settings: Settings, process: str) -> Path:
    """Return the file that ``process`` touches."""
    return settings.run_dir / f"{process}.alive"


def touch_heartbeat(path: Path) -> None:
    """Leave a sign of life, also for alerts; a full disk must not stop the work."""
    LAST_SIGN_OF_LIFE.labels(path.stem).set(now_ms() / 1000)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError:
        return


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
