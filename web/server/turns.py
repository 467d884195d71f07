"""Which of a server's processes may retire: one after the other.

They count alike, so without turns all might leave together, and whoever connects would
wait until a new one has started.
"""

from __future__ import annotations

import mmap
import struct
from typing import Final

from config.clock import monotonic

_MOMENT: Final = struct.Struct("d")


class Turns:
    """The moment of the last turn, in memory that forked processes share.

    Two that ask within the same microseconds both get one: then callers wait a while,
    which a lock that a dying process may hold is not worth.
    """

    def __init__(self) -> None:
        self._last = mmap.mmap(-1, _MOMENT.size)

    def take(self, apart_s: float) -> bool:
        """Take a turn unless somebody had one less than ``apart_s`` seconds ago."""
        now = monotonic()
        (last,) = _MOMENT.unpack_from(self._last)
        if last and now - last < apart_s:
            return False
        _MOMENT.pack_into(self._last, 0, now)
        return True
