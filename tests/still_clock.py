"""The time of this process, standing still until a test moves it.

A machine that stops for two seconds must not make a test fail. Where a test is about
seconds that pass, they pass here: `config/clock.py` is the only door to the time.
"""

from __future__ import annotations

import threading

from config.clock import monotonic, now_ms

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


class StillClock:
    """Both clocks begin at the true time; a test that sleeps moves them and waits not.

    Sleepers of other threads wait truly and move nothing: one that looks again and
    again in the background would let hours pass. Only what asks `config.clock` is told
    this time: waits of the interpreter (events, sockets, futures) and other processes
    have their own.
    """

    def __init__(self) -> None:
        self._ns, self._s = now_ms() * NS_PER_MS, monotonic()
        self._owner, self._pause = threading.get_ident(), threading.Event()

    def time_ns(self) -> int:
        """Return the wall clock, as `time.time_ns`."""
        return self._ns

    def monotonic(self) -> float:
        """Return the clock that never goes back, as `time.monotonic`."""
        return self._s

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass, as `time.sleep` does."""
        if threading.get_ident() == self._owner:
            self.move(seconds)
        else:
            self._pause.wait(seconds)

    def move(self, seconds: float) -> None:
        """Let ``seconds`` pass at once."""
        self._ns += round(seconds * NS_PER_S)
        self._s += seconds
