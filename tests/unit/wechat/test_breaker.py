"""The breaker's three states, on a clock that the test moves."""

from __future__ import annotations

import pytest

from tests.unit.wechat.doubles import MemoryShare
from wechat.breaker import Breaker, BreakerPolicy, State
from wechat.breakers import Breakers
from wechat.errors import BreakerOpen


class Bench:
    """A breaker of one process with its clock and the states it told.

    Benches that are given the same ``share`` are processes of one deployment.
    """

    def __init__(
        self, failures: int = 2, probe_s: float = 2.0, share: MemoryShare | None = None
    ) -> None:
        self.share = share or MemoryShare()
        self.share.away = share is None
        self.told: list[State] = []
        self.causes: list[str] = []
        policy = BreakerPolicy(failures, open_s=2.0, probe_s=probe_s)
        self.breaker = Breaker(
            "/p", policy, share=self.share, watch=self.watch, clock=self.share.clock
        )
        self.breakers = Breakers(
            lambda _path: self.breaker, self.share, look_s=0.25, clock=self.share.clock
        )

    def watch(self, _path: str, state: State, cause: str | None) -> None:
        self.told.append(state)
        self.causes += [cause] if cause else []

    @property
    def now(self) -> float:
        return self.share.now

    @now.setter
    def now(self, value: float) -> None:
        self.share.now = value

    def call(self) -> None:
        """Begin a call as `calls` does."""
        self.breakers.of("/p").enter()

    def is_shut(self) -> bool:
        try:
            self.breakers.of("/p").check()
        except BreakerOpen:
            return True
        return False

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


def test_an_answer_from_before_the_break_does_not_open_the_door() -> None:
    bench = Bench()
    bench.fail(2)

    bench.breaker.succeeded()

    assert bench.breaker.state is State.OPEN


def test_failures_from_before_the_break_do_not_keep_it_shut_for_longer() -> None:
    bench = Bench()
    bench.fail(2)
    bench.now = 1.9
    bench.breaker.failed()
    bench.now = 2.0

    bench.breaker.enter()

    assert bench.causes == ["found"]


def test_the_others_are_told_to_come_back_before_a_long_probe_must_end() -> None:
    bench = Bench(probe_s=5.0)
    bench.fail(2)
    bench.now = 2.0
    bench.breaker.enter()

    with pytest.raises(BreakerOpen) as caught:
        bench.breaker.enter()

    assert caught.value.retry_after_ms == 2000
    bench.now = 6.9
    assert bench.is_shut()


@pytest.fixture
def share() -> MemoryShare:
    return MemoryShare()


def two(share: MemoryShare) -> tuple[Bench, Bench]:
    """Return two processes; the first has found the path broken."""
    first, second = Bench(share=share), Bench(share=share)
    second.call()
    first.fail(2)
    return first, second


def test_what_one_process_finds_is_shut_for_the_other_at_its_next_look(
    share: MemoryShare,
) -> None:
    _, second = two(share)

    assert not second.is_shut()
    share.now = 0.25

    assert second.is_shut()
    assert second.causes == ["heard"]


def test_a_process_looks_once_in_a_while_and_not_at_every_call(
    share: MemoryShare,
) -> None:
    bench = Bench(share=share)
    for tick in range(100):
        share.now = tick / 100
        bench.call()

    assert share.looks == 4


def test_one_probe_passes_among_all_processes(share: MemoryShare) -> None:
    first, second = two(share)
    share.now = 2.0
    assert second.breakers.of("/p").state is State.OPEN
    second.call()

    with pytest.raises(BreakerOpen):
        first.call()

    assert second.breaker.state is State.HALF_OPEN


def test_a_good_probe_opens_the_door_for_all(share: MemoryShare) -> None:
    first, second = two(share)
    share.now = 2.0
    second.call()
    second.breaker.succeeded()

    share.now = 2.25

    assert not first.is_shut()
    assert (first.breaker.state, share.due) == (State.CLOSED, {})


def test_a_process_that_comes_too_late_to_probe_just_passes(
    share: MemoryShare,
) -> None:
    first, second = two(share)
    share.now = 2.0
    first.breakers.of("/p")
    second.call()
    second.breaker.succeeded()

    first.breaker.enter()

    assert first.breaker.state is State.CLOSED


def test_a_bad_probe_shuts_it_for_all_for_another_period(share: MemoryShare) -> None:
    first, second = two(share)
    share.now = 2.0
    second.call()
    second.breaker.failed()

    share.now = 3.9
    assert first.is_shut()
    assert second.causes == ["heard", "probe"]


def test_a_probe_that_came_to_nothing_leaves_its_place_to_any_process(
    share: MemoryShare,
) -> None:
    first, second = two(share)
    share.now = 2.0
    second.call()
    second.breaker.abandoned()

    first.call()

    assert first.breaker.state is State.HALF_OPEN


def test_without_the_share_each_process_goes_on_by_itself(share: MemoryShare) -> None:
    first, second = two(share)
    share.away = True
    share.now = 2.0

    first.call()
    first.breaker.succeeded()

    second.call()
    assert (first.breaker.state, second.breaker.state) == (State.CLOSED, State.CLOSED)


def test_what_could_not_be_told_is_not_taken_back_by_those_who_do_not_know(
    share: MemoryShare,
) -> None:
    share.away = True
    bench = Bench(share=share)
    share.away = True
    bench.fail(2)
    share.away = False
    share.now = 1.0

    assert bench.is_shut()


def test_a_look_from_before_the_break_does_not_open_the_door(
    share: MemoryShare,
) -> None:
    bench = Bench(share=share)
    share.now = 1.0
    bench.fail(2)

    bench.breaker.hear(None, asked_at=0.9)

    assert bench.breaker.state is State.OPEN
