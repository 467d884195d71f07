"""The counters of processes that ended, added up in one file a kind.

Each process of the multiprocess registry writes files of its own. Children are
replaced for as long as their parent lives, so their files would fill the disk and
slow each scrape down. Called where a child comes or goes: `workers/signals.py`,
`config/gunicorn.py`.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client.mmap_dict import MmapedDict

from config.metrics.files import HOST, shared_folder

Found = list[tuple[str, float, float, int]]


def sweep_shared_folder() -> None:
    """Fold what ended processes left, when this process shares its counters."""
    if (folder := shared_folder()) is not None:
        sweep_ended(folder)


def sweep_ended(folder: Path) -> None:
    """Fold the files of this host's ended processes; only live gauges just go.

    A scrape in the middle of it may miss them once; nothing is counted twice. Does
    nothing while another process sweeps.
    """
    with _alone(folder) as alone:
        if not alone:
            return
        for path in folder.glob(f"*_{HOST}-*.db"):
            kind, _, label = path.stem.partition(f"_{HOST}-")
            if _runs(label):
                continue
            found = _read(path)
            path.unlink(missing_ok=True)
            if not kind.startswith("gauge"):
                _add(folder / f"{kind}_{HOST}.ended.db", found)


def _read(path: Path) -> Found:
    try:
        return [*MmapedDict.read_all_values_from_file(path)]  # type: ignore[no-untyped-call]
    except (OSError, RuntimeError, ValueError, struct.error):
        # Somebody emptied the folder, or a kill in the middle of a write.
        return []


def _add(sums: Path, found: Found) -> None:
    total: Any = MmapedDict(str(sums))  # type: ignore[no-untyped-call]
    try:
        for key, value, *_ in found:
            total.write_value(key, total.read_value(key)[0] + value, 0.0)
    finally:
        total.close()


def _runs(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    try:
        with (folder / "ended.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
    except OSError:
        yield False
