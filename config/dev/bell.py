"""Wakes the loop of `config/dev/supervisor` at once when a process of its has ended."""

from __future__ import annotations

import signal
import socket
from contextlib import suppress

RINGS = 64


class Bell:
    """Readable, for a selector, from each signal with a handler until `silence`.

    For the main thread, once a process: it takes SIGCHLD and Python's wake-up.
    """

    def __init__(self) -> None:
        self._bell, self._hammer = socket.socketpair()
        for end in (self._bell, self._hammer):
            end.settimeout(0)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # A full buffer rings as well.
        signal.set_wakeup_fd(self._hammer.fileno(), warn_on_full_buffer=False)

    def fileno(self) -> int:
        """Return what a selector waits for."""
        return self._bell.fileno()

    def silence(self) -> None:
        """Forget what has rung so far; look for the reason afterwards, not before."""
        with suppress(BlockingIOError):
            while self._bell.recv(RINGS):
                pass
