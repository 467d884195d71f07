"""The breaker's three states, on a clock that the test moves."""

from __future__ import annotations

import pytest

from wechat.breaker import Breaker, State
from wechat.errors import BreakerOpen


class Bench:
    """A breaker with its clock and the states it told."""

    def __init__(self, failures: int = 2) -> None:
        self.now = 0.0
        self.told: list[State] = []
        self.breaker = Breaker(
            "/p",
            failures=failures,
            open_s=2.0,
            watch=lambda _path, state: self.told.append(state),
            clock=lambda: self.now,
        )

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.enter()
            self.breaker.failed()


def test_it_opens_after_failures_in_a_row_and_says_how_long() -> None:
    bench = Bench()
    bench.fail(2)

    with pytest.raises(BreakerOpen) as caught:
        bench.breaker.enter()

    assert caught.value.retry_after_ms == 2000
    assert bench.told == [State.OPEN]


def test_a_success_between_failures_starts_the_count_again() -> None:
    bench = Bench()
    bench.fail()
    bench.breaker.succeeded()
    bench.fail()

    assert bench.breaker.state is State.CLOSED


def test_one_probe_passes_when_the_time_is_over_and_closes_it() -> None:
    bench = Bench()
    bench.fail(2)
    bench.now = 2.0
    bench.breaker.enter()

    with pytest.raises(BreakerOpen):
        bench.breaker.enter()
    bench.breaker.succeeded()

    bench.breaker.enter()
    assert bench.told == [State.OPEN, State.HALF_OPEN, State.CLOSED]


def test_a_failed_probe_opens_it_for_another_period() -> None:
    bench = Bench()
    bench.fail(2)
    bench.now = 2.0
    bench.fail()

    with pytest.raises(BreakerOpen):
        bench.breaker.enter()


def test_a_probe_that_never_reached_wechat_gives_its_place_back() -> None:
    bench = Bench()
    bench.fail(2)
    bench.now = 2.0
    bench.breaker.enter()
    bench.breaker.abandoned()

    bench.breaker.enter()

    assert bench.breaker.state is State.HALF_OPEN


def test_a_probe_that_vanishes_blocks_the_others_for_one_period_only() -> None:
    bench = Bench()
    bench.fail(2)
    bench.now = 2.0
    bench.breaker.enter()
    bench.now = 4.0

    bench.breaker.enter()

    assert bench.breaker.state is State.HALF_OPEN
