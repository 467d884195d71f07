"""Run by Python itself at the start of a process whose clock libfaketime steps.

Python sleeps until a moment of the monotonic clock, which libfaketime refuses when told
to leave that clock alone; `select` waits for a span and is let through.
"""

from __future__ import annotations

import select
import time


def sleep(seconds: float) -> None:
    """Wait as `time.sleep` does."""
    select.select([], [], [], max(0.0, seconds))


time.sleep = sleep  # type: ignore[assignment]  # nobody here passes an index
