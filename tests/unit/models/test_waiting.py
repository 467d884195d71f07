"""Waiting for a record looks at least once, and not for ever."""

from __future__ import annotations

import pytest

from config.clock import monotonic
from models.errors import RedisUnavailable
from models.waiting import wait_for


class Looks:
    """Finds at the n-th look, and counts."""

    def __init__(self, found_at: int) -> None:
        self.count = 0
        self._found_at = found_at

    def __call__(self) -> str | None:
        self.count += 1
        return "found" if self.count >= self._found_at else None


@pytest.mark.parametrize("seconds", [-1, 0, 5])
def test_what_is_there_is_found_at_once(seconds: float) -> None:
    looks = Looks(1)

    assert wait_for(looks, seconds=seconds, every_s=60) == "found"
    assert looks.count == 1


def test_what_comes_is_found() -> None:
    looks = Looks(4)

    assert wait_for(looks, seconds=60, every_s=0.001) == "found"
    assert looks.count == 4


@pytest.mark.usefixtures("clock")
def test_what_never_comes_ends_with_the_time() -> None:
    looks, began = Looks(10_000), monotonic()

    # The last pause is cut to what is left, and one look follows it.
    assert wait_for(looks, seconds=0.05, every_s=60) is None
    assert looks.count == 2
    assert monotonic() - began == pytest.approx(0.05)


def test_a_store_that_goes_away_ends_the_wait() -> None:
    def look() -> None:
        raise RedisUnavailable

    with pytest.raises(RedisUnavailable):
        wait_for(look, seconds=5, every_s=0.001)
