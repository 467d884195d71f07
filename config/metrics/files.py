"""The files through which the processes of a house share their figures.

`config/ended_metrics.py` folds those of processes that ended.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

from prometheus_client import values

# An underscore would split the file names that prometheus_client reads back.
HOST: Final = socket.gethostname().replace("_", "-")

# Asked for at every count; a process meets its own pid and that of its parent.
_LABELS: Final[dict[int, str]] = {}


def name_files_by_host() -> None:
    """Put the host into file names, if the library shares files at all.

    To be called before the first metric is made, since that opens its file.
    """
    # The library has read PROMETHEUS_MULTIPROC_DIR and chosen files over memory.
    if values.ValueClass is not values.MutexValue:
        values.ValueClass = values.MultiProcessValue(  # type: ignore[no-untyped-call]
            process_label
        )


def process_label() -> str:
    """Return the name of this process in the multiprocess folder.

    Containers share the folder and all begin with the same pids.
    """
    own = os.getpid()
    label = _LABELS.get(own)
    if label is None:
        label = _LABELS[own] = f"{HOST}-{own}"
    return label


def shared_folder() -> Path | None:
    """Return where processes leave their counters for each other, None if nowhere."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(folder) if folder else None
