"""A wall clock of its own for a process: libfaketime reads how far it is off.

Only the wall clock is stepped, as an administrator or a time server would; the
monotonic clock goes on, as the kernel's does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers.process import ServerError
from tests.servers.stack import ROOT

if TYPE_CHECKING:
    from tests.faults.ground import Ground

PLACES = ("/usr/lib", "/usr/local/lib", "/usr/lib64")
STEPPED = Path(__file__).parent / "stepped"
MISSING = "no libfaketime found: install faketime (make drill does)"


def find_faketime() -> str:
    """Return the library's path; raises `ServerError`."""
    for place in PLACES:
        found = sorted(Path(place).glob("**/faketime/libfaketimeMT.so.1"))
        if found:
            return str(found[0])
    raise ServerError(MISSING)


class Clock:
    """The wall clock of one process of the Procfile, to be set before it starts."""

    def __init__(self, ground: Ground, name: str) -> None:
        self._file = ground.stack.folder / f"clock-{name}"
        self.step(0)
        fake = (
            f"LD_PRELOAD={find_faketime()} FAKETIME_TIMESTAMP_FILE={self._file} "
            "FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 "
            f"PYTHONPATH={STEPPED}:{ROOT}"
        )
        line = ground.stack.lines[name]
        ground.stack.lines[name] = line.replace("exec env ", f"exec env {fake} ", 1)

    def step(self, seconds: int) -> None:
        """Put the clock ``seconds`` off the machine's; takes effect at once."""
        self._file.write_text(f"{seconds:+d}\n")
