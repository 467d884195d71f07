"""Late writes: one that can never be made does not hold up the others."""

from __future__ import annotations

import threading
from typing import Any

from models.errors import RedisUnavailable
from models.stores.late_writes import LateWrites


class Redis:
    """One that answers again."""

    def knock(self) -> bool:
        return True


def late(then: Any) -> Any:
    """Return a write for which Redis is away the first time."""
    away = [RedisUnavailable("away")]

    def write() -> None:
        if away:
            raise away.pop()
        then()

    return write


def test_a_write_that_fails_for_good_lets_the_others_through() -> None:
    made = threading.Event()
    writes = LateWrites(Redis())  # type: ignore[arg-type]

    def broken() -> None:
        raise ValueError("no such thing")

    writes.attempt(late(broken))
    writes.attempt(late(made.set))
    assert made.wait(60)

    # Nor those that come after it.
    again = threading.Event()
    writes.attempt(late(again.set))
    assert again.wait(60)
