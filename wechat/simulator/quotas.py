"""Counting windows of the simulator: how often a thing happened this minute or day."""

from __future__ import annotations

from collections import Counter

# WeChat's days begin at midnight in China.
CHINA_MS = 8 * 3_600_000


class Window:
    """Counts keys inside one aligned window of time; forgets them with the next."""

    def __init__(self, length_ms: int, offset_ms: int = 0) -> None:
        self._length = length_ms
        self._offset = offset_ms
        self._number = -1
        self._counts: Counter[str] = Counter()

    def hit(self, key: str, now_ms: int) -> int:
        """Count one and return how many this window has had."""
        number = (now_ms + self._offset) // self._length
        if number != self._number:
            self._number = number
            self._counts.clear()
        self._counts[key] += 1
        return self._counts[key]
