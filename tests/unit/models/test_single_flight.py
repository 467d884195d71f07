"""Callers of one process share a flight: its value, its error, or its heir."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from config.clock import Deadline
from config.patience import under
from models.single_flight import SingleFlight
from tests.servers.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable


PATIENCE_S = 60


class CutOff(BaseException):
    """What ends a greenlet; nobody catches it by name."""


class Source:
    """Produces when told to, and counts."""

    def __init__(self, *errors: BaseException) -> None:
        self.calls = 0
        self.called = threading.Event()
        self.go = threading.Event()
        self._errors = list(errors)

    def __call__(self) -> str:
        """Wait for `go`, then fail while there are errors left."""
        self.calls += 1
        self.called.set()
        self.go.wait(PATIENCE_S)
        if self._errors:
            raise self._errors.pop(0)
        return f"value {self.calls}"


@pytest.fixture
def flights() -> SingleFlight[str]:
    return SingleFlight()


def is_joined(flights: SingleFlight[str]) -> bool:
    """Whether anybody waits for the flight of another."""
    flight: Any = flights._flights["k"]
    return bool(flight._condition._waiters)


def gather(
    flights: SingleFlight[str], source: Source, pool: ThreadPoolExecutor, callers: int
) -> list[Callable[[float], tuple[str, bool]]]:
    """Let ``callers`` ask at once; when one has joined let the source go on."""
    asked = [pool.submit(flights.run, "k", source) for _ in range(callers)]
    assert source.called.wait(PATIENCE_S)
    wait_until(lambda: is_joined(flights), within_s=PATIENCE_S, what="one has joined")
    source.go.set()
    return [future.result for future in asked]


def test_one_produces_for_all_who_ask_meanwhile(flights: SingleFlight[str]) -> None:
    source = Source()
    with ThreadPoolExecutor(20) as pool:
        told = [result(PATIENCE_S) for result in gather(flights, source, pool, 20)]

    # A thread that came late leads a flight of its own; nobody leads for nothing.
    assert sum(led for _, led in told) == source.calls
    assert source.calls < 20


def test_those_who_wait_do_not_produce(flights: SingleFlight[str]) -> None:
    source = Source()
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(flights.run, "k", source)
        assert source.called.wait(PATIENCE_S)
        follower = pool.submit(flights.run, "k", lambda: "never asked")
        other = pool.submit(flights.run, "other", lambda: "alone")
        source.go.set()

        assert leader.result(PATIENCE_S) == ("value 1", True)
        assert follower.result(PATIENCE_S) in {
            ("value 1", False),
            ("never asked", True),
        }
        assert other.result(PATIENCE_S) == ("alone", True)


def test_a_later_caller_produces_anew(flights: SingleFlight[str]) -> None:
    source = Source()
    source.go.set()

    assert [flights.run("k", source) for _ in range(2)] == [
        ("value 1", True),
        ("value 2", True),
    ]


def test_an_error_reaches_all_who_joined_and_nobody_after(
    flights: SingleFlight[str],
) -> None:
    source = Source(ValueError("no"))
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(flights.run, "k", source)
        assert source.called.wait(PATIENCE_S)
        with under(Deadline.after_ms(10)), pytest.raises(TimeoutError):
            flights.run("k", lambda: "never asked")
        source.go.set()

        assert isinstance(leader.exception(PATIENCE_S), ValueError)
    assert flights.run("k", source) == ("value 2", True)


def test_a_leader_that_is_cut_off_leaves_the_work_to_an_heir(
    flights: SingleFlight[str],
) -> None:
    source = Source(CutOff())
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(flights.run, "k", source)
        assert source.called.wait(PATIENCE_S)
        waiting = threading.Event()

        def follow() -> tuple[str, bool]:
            waiting.set()
            return flights.run("k", source)

        follower = pool.submit(follow)
        waiting.wait(PATIENCE_S)
        source.go.set()

        assert isinstance(leader.exception(PATIENCE_S), CutOff)
        assert follower.result(PATIENCE_S) == ("value 2", True)


def test_who_comes_after_a_parting_does_not_get_the_old_value(
    flights: SingleFlight[str],
) -> None:
    source = Source()
    with ThreadPoolExecutor(1) as pool:
        old = pool.submit(flights.run, "k", source)
        assert source.called.wait(PATIENCE_S)

        flights.part("k")

        assert flights.run("k", lambda: "new") == ("new", True)
        source.go.set()
        assert old.result(PATIENCE_S) == ("value 1", True)
