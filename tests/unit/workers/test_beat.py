"""The metronome keeps step, whatever happens to its clock or to the broker."""

from __future__ import annotations

import pytest

from config.schedule import ASK
from workers.beat import Metronome
from workers.relay_loop import BrokerAway

START = 5_000.0


class Postbox:
    """A queue that nobody empties, and that can be away."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.away = False

    def send(self, task: str, argument: str | list[str]) -> None:
        if self.away:
            raise BrokerAway
        assert task == ASK
        assert isinstance(argument, str)
        self.asked.append(argument)

    def count_waiting(self, queue: str) -> int:
        if self.away:
            raise BrokerAway
        assert queue == "maintenance"
        return len(self.asked)


@pytest.fixture
def postbox() -> Postbox:
    return Postbox()


@pytest.fixture
def metronome(postbox: Postbox) -> Metronome:
    return Metronome({"fast": 7.5, "slow": 15.0}, postbox, 10_000)


def test_every_job_is_asked_for_at_the_start(
    metronome: Metronome, postbox: Postbox
) -> None:
    assert metronome.tick(START) == 7.5
    assert postbox.asked == ["fast", "slow"]


def test_small_delays_do_not_add_up(metronome: Metronome, postbox: Postbox) -> None:
    now = START
    for _ in range(2000):
        # Each wake-up is late by a tenth of a second.
        now += metronome.tick(now) + 0.1

    passed = now - START
    assert abs(postbox.asked.count("slow") - passed / 15) <= 2


@pytest.mark.parametrize("step", [-600.0, 600.0, -86_400.0, 86_400.0])
def test_a_stepped_clock_costs_no_question_and_makes_no_burst(
    metronome: Metronome, postbox: Postbox, step: float
) -> None:
    metronome.tick(START)
    postbox.asked.clear()

    wait = metronome.tick(START + step + 1)

    assert postbox.asked == ["fast", "slow"]
    assert 0 < wait <= 7.5
    assert metronome.tick(START + step + 2) > 0
    assert postbox.asked == ["fast", "slow"]


def test_without_a_broker_it_goes_on_and_asks_once_when_it_is_back(
    metronome: Metronome, postbox: Postbox
) -> None:
    postbox.away = True
    for second in range(0, 3600, 5):
        assert metronome.tick(START + second) > 0
    postbox.away = False

    metronome.tick(START + 3600)

    assert postbox.asked == ["fast", "slow"]


def test_a_queue_that_nobody_reads_is_not_filled(postbox: Postbox) -> None:
    metronome = Metronome({"fast": 7.5}, postbox, 3)
    now = START
    for _ in range(50):
        now += metronome.tick(now)

    assert len(postbox.asked) == 3
