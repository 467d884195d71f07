"""Waiting for what another process leaves behind: a record, a row, a value.

Bounded looks instead of a held connection, for waits of a moment. Who waits long and
idly uses `models/stores/signals.py` or the event hub of `web`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from config.clock import monotonic, sleep

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def wait_for(
    look: Callable[[], T | None], *, seconds: float, every_s: float
) -> T | None:
    """Return what ``look`` finds within ``seconds``, else None.

    It looks at least once. What ``look`` raises, such as `RedisUnavailable`, ends the
    wait: the caller knows what to do without that store.
    """
    until = monotonic() + seconds
    while (found := look()) is None:
        left = until - monotonic()
        if left <= 0:
            return None
        sleep(min(every_s, left))
    return found
