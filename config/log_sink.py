"""Where log lines go: one file descriptor, written whole lines at a time."""

from __future__ import annotations

import os

from config.metrics.processes import LOG_LINES_LOST


class LineSink:
    """Writes whole lines to a file descriptor and never raises.

    A full disk or a closed pipe must not fail a request: the line is lost, and counted.
    """

    def __init__(self, descriptor: int = 1) -> None:
        self.descriptor = descriptor

    def write(self, line: bytes) -> None:
        """Write one line that ends in a line end."""
        try:
            os.write(self.descriptor, line)
        except OSError:
            LOG_LINES_LOST.inc()
