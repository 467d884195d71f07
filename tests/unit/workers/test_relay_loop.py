"""The relay's loop: failures pause it, nothing ends it but `stop`."""

from __future__ import annotations

import threading

import pytest

from tests.servers.process import wait_until
from workers import relay_loop
from workers.relay_loop import BrokerAway, RelayLoop

PATIENCE_S, ENDLESS_S = 60, 600


class Postbox:
    """A courier that can be away."""

    def __init__(self) -> None:
        self.away = False
        self.probes = 0

    def probe(self) -> None:
        self.probes += 1
        if self.away:
            raise BrokerAway

    def send(
        self, task: str, argument: str | list[str], message_id: str | None = None
    ) -> None:
        if self.away:
            raise BrokerAway(task, argument, message_id)

    def count_waiting(self, queue: str) -> int:
        return len(queue) * 0


class Work:
    """A journal that needs the courier in each round."""

    journal = "logins"

    def __init__(self, courier: Postbox) -> None:
        self._courier = courier
        self.rounds = 0
        self.fault: Exception | None = None
        self._rest = threading.Event()

    def run(self) -> bool:
        self.rounds += 1
        if self.fault is not None:
            raise self.fault
        self._courier.send("tasks.a.b", "x")
        return False

    def rest(self) -> None:
        self._rest.wait(0.01)


def test_nothing_is_claimed_for_a_broker_that_is_away() -> None:
    courier = Postbox()
    work = Work(courier)
    courier.away = True
    loop = RelayLoop(work, courier)
    loop.start()
    wait_until(lambda: courier.probes >= 1, within_s=PATIENCE_S, what="a probe")

    assert work.rounds == 1
    courier.away = False
    wait_until(
        lambda: work.rounds > 3, within_s=PATIENCE_S, what="rounds after the fault"
    )
    loop.stop()
    loop.join(PATIENCE_S)
    assert not loop.is_alive()


def test_no_error_ends_the_loop() -> None:
    courier = Postbox()
    work = Work(courier)
    work.fault = ZeroDivisionError()
    loop = RelayLoop(work, courier)
    loop.start()
    wait_until(lambda: work.rounds >= 2, within_s=PATIENCE_S, what="a second round")
    work.fault = None
    before = work.rounds
    wait_until(
        lambda: work.rounds > before + 2, within_s=PATIENCE_S, what="more rounds"
    )

    assert loop.alive
    loop.stop()
    loop.join(PATIENCE_S)


def test_a_loop_that_pauses_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_loop, "FIRST_PAUSE_S", ENDLESS_S)
    monkeypatch.setattr(relay_loop, "LONGEST_PAUSE_S", ENDLESS_S)
    courier = Postbox()
    courier.away = True
    work = Work(courier)
    loop = RelayLoop(work, courier)
    loop.start()
    wait_until(lambda: work.rounds, within_s=PATIENCE_S, what="a round that fails")
    loop.stop()
    loop.join(PATIENCE_S)

    assert not loop.is_alive()
