"""A process whose wall clock can be stepped while it runs, by libfaketime.

The monotonic clock is stepped too, which no machine does: the library cannot leave it
alone without breaking Python's `sleep`. What stands this stands a set clock.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.servers.process import ServerError

PLACES = ("/usr/lib", "/usr/local/lib", "/opt/homebrew/lib")
LIBRARY = "libfaketime.so.1"


def find_faketime() -> str:
    """Return the path of the library; raises `ServerError`."""
    if shutil.which("faketime"):
        for place in PLACES:
            for path in Path(place).glob(f"*/faketime/{LIBRARY}"):
                return str(path)
            if (path := Path(place) / "faketime" / LIBRARY).exists():
                return str(path)
    msg = "no libfaketime: apt install faketime"
    raise ServerError(msg)


class FalseClock:
    """The clock of one process, told through a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.step(0)

    @property
    def environment(self) -> dict[str, str]:
        """What the process must be started with."""
        return {
            "LD_PRELOAD": find_faketime(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
        }

    def step(self, seconds: int) -> None:
        """Set the clock ``seconds`` off the true one."""
        self._file.write_text(f"{seconds:+d}s\n")
