"""One lane under every kind of bad luck; the connection is a wire in memory."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import hiredis
import pytest
from redis.exceptions import ConnectionError as Broken
from redis.exceptions import ResponseError

from config.clock import MS_PER_S, Deadline
from models.errors import RedisUnavailable
from models.stores.lane import Call, Lane

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings

PATIENCE_S = 60


class CutOffError(BaseException):
    """A request that ends from outside, as a killed greenlet does."""


@dataclass
class Wire:
    """Answers each command with its last word; waits at the gate before."""

    gate: threading.Event = field(default_factory=threading.Event)
    sent: list[int] = field(default_factory=list)
    fault: BaseException | None = None
    closed_by_server: bool = False
    opened: int = 0
    answers: list[bytes] = field(default_factory=list)
    entered: threading.Event = field(default_factory=threading.Event)

    def connect(self) -> None:
        self.opened += 1
        self.closed_by_server = False

    def disconnect(self) -> None:
        self.answers.clear()

    def can_read(self, timeout: float) -> bool:
        assert timeout == 0
        if self.fault is not None:
            raise self.fault
        return self.closed_by_server

    def send_packed_command(self, chunks: list[bytes]) -> None:
        reader = hiredis.Reader()
        reader.feed(b"".join(chunks))
        words = list(iter(reader.gets, False))  # noqa: FBT003 - what gets() ends with
        self.sent.append(len(words))
        self.entered.set()
        self.gate.wait(PATIENCE_S)
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault
        self.answers += [word[-1] for word in words]

    def read_response(self) -> bytes:
        answer = self.answers.pop(0)
        if answer.startswith(b"ERR"):
            raise ResponseError(answer.decode())
        return answer


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def make_lane(wire: Wire, settings: Settings) -> Callable[..., Lane]:
    def make(timeout_s: float = PATIENCE_S) -> Lane:
        limits = {"timeout_s": timeout_s, "connect_timeout_s": 0.01}
        return Lane(lambda: wire, settings.redis.model_copy(update=limits))

    return make


def call(*words: str) -> Call:
    return Call([("ECHO", word) for word in words])


def ask(lane: Lane, *words: str) -> list[Any]:
    asked = call(*words)
    lane.run(asked)
    return asked.replies


def waiting(lane: Lane, count: int) -> bool:
    """Let threads come until ``count`` calls wait for their turn."""
    return len(lane._gathered) >= count


def until(check: Callable[[], bool]) -> None:
    tick = threading.Event()
    end = Deadline.after_ms(PATIENCE_S * MS_PER_S)
    while not check():
        assert not end.expired
        tick.wait(0.001)


class LateLatch:
    """A latch whose owner is out of time just when the lane is handed to it."""

    def __init__(self, handing: Callable[[], None], *, cut: bool) -> None:
        self._real = threading.Lock()
        self._real.acquire()
        self._handing = handing
        self._cut = cut

    def acquire(self, timeout: float = -1) -> bool:
        if timeout < 0:
            return self._real.acquire(timeout=PATIENCE_S)
        self._handing()
        if self._cut:
            raise CutOffError
        return False

    def release(self) -> None:
        self._real.release()


def test_calls_that_gathered_travel_together(wire: Wire, make_lane: Any) -> None:
    lane = make_lane()
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(ask, lane, "a")
        wire.entered.wait(PATIENCE_S)
        rest = [pool.submit(ask, lane, f"{n}x", f"{n}y") for n in range(5)]
        until(lambda: waiting(lane, 5))
        wire.gate.set()

        assert first.result(PATIENCE_S) == [b"a"]
        for n, future in enumerate(rest):
            assert future.result(PATIENCE_S) == [f"{n}x".encode(), f"{n}y".encode()]
    assert wire.sent == [1, 10]
    assert wire.opened == 1


def test_an_error_reply_belongs_to_one_command(wire: Wire, make_lane: Any) -> None:
    wire.gate.set()

    first, second, third = ask(make_lane(), "a", "ERR no", "c")

    assert (first, third) == (b"a", b"c")
    assert isinstance(second, ResponseError)


def test_a_wrong_argument_hurts_only_its_author(wire: Wire, make_lane: Any) -> None:
    lane = make_lane()
    wire.gate.set()
    ask(lane, "a")

    with pytest.raises(Exception, match=r"[Ii]nvalid|bytes"):
        Call([("SET", "key", None)])  # type: ignore[list-item]

    assert ask(lane, "b") == [b"b"]
    assert wire.opened == 1


def test_a_broken_connection_fails_its_round_and_no_other(
    wire: Wire, make_lane: Any
) -> None:
    lane = make_lane()
    wire.fault = Broken("reset")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, lane, "a")
        wire.entered.wait(PATIENCE_S)
        second = pool.submit(ask, lane, "b")
        until(lambda: waiting(lane, 1))
        wire.gate.set()

        with pytest.raises(RedisUnavailable, match="reset"):
            first.result(PATIENCE_S)
        assert second.result(PATIENCE_S) == [b"b"]
    assert wire.opened == 2


def test_a_leader_cut_off_frees_the_lane(wire: Wire, make_lane: Any) -> None:
    lane = make_lane()
    wire.gate.set()
    wire.fault = CutOffError()

    with pytest.raises(CutOffError):
        lane.run(call("a"))

    assert ask(lane, "b") == [b"b"]
    assert wire.opened == 2


def test_a_waiter_out_of_time_leaves_and_is_not_sent(
    wire: Wire, make_lane: Any
) -> None:
    lane = make_lane(timeout_s=0.02)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, lane, "a")
        wire.entered.wait(PATIENCE_S)

        with pytest.raises(RedisUnavailable, match="no reply in time"):
            lane.run(call("late"))

        wire.gate.set()
        assert first.result(PATIENCE_S) == [b"a"]
    assert ask(lane, "c") == [b"c"]
    assert wire.sent == [1, 1]


def test_a_caller_whose_round_hangs_leaves_without_its_replies(
    wire: Wire, make_lane: Any
) -> None:
    lane = make_lane(timeout_s=0.05)
    wire.gate.set()
    with ThreadPoolExecutor(3) as pool:
        wire.gate.clear()
        leader = pool.submit(ask, lane, "a")
        wire.entered.wait(PATIENCE_S)
        heir = call("b")
        led = pool.submit(lane.run, heir)
        until(lambda: waiting(lane, 1))
        follower = pool.submit(ask, lane, "c")
        until(lambda: waiting(lane, 2))
        wire.sent.clear()
        hang_second_round(wire)
        leader.result(PATIENCE_S)

        with pytest.raises(RedisUnavailable, match="no reply in time"):
            follower.result(PATIENCE_S)
        wire.gate.set()
        led.result(PATIENCE_S)
    assert heir.replies == [b"b"]


def hang_second_round(wire: Wire) -> None:
    """Let the first round pass the gate, and hold the next one there."""
    gate, wire.gate = wire.gate, threading.Event()
    gate.set()


@pytest.mark.parametrize("cut", [False, True], ids=["out of time", "cut off"])
def test_a_waiter_gone_while_the_lane_is_handed_to_it_does_not_block_it(
    wire: Wire, make_lane: Any, *, cut: bool
) -> None:
    lane = make_lane()
    heir = call("b")
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(ask, lane, "a")
        wire.entered.wait(PATIENCE_S)

        def handing() -> None:
            wire.gate.set()
            until(lambda: heir.leads)
            leader.result(PATIENCE_S)

        heir.latch = LateLatch(handing, cut=cut)  # type: ignore[assignment]
        if cut:
            with pytest.raises(CutOffError):
                lane.run(heir)
        else:
            lane.run(heir)
            assert heir.replies == [b"b"]

    assert ask(lane, "c") == [b"c"]
    assert not lane._busy


def test_a_waiter_cut_off_before_its_turn_is_not_sent(
    wire: Wire, make_lane: Any
) -> None:
    lane = make_lane()
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(ask, lane, "a")
        wire.entered.wait(PATIENCE_S)
        gone = call("b")
        gone.latch = LateLatch(lambda: None, cut=True)  # type: ignore[assignment]

        with pytest.raises(CutOffError):
            lane.run(gone)

        wire.gate.set()
        leader.result(PATIENCE_S)
    assert wire.sent == [1]
    assert not lane._busy


@pytest.mark.parametrize("sign", ["readable", "error", "quiet"])
def test_an_idle_connection_is_looked_at_before_use(
    wire: Wire, make_lane: Any, sign: str
) -> None:
    lane = make_lane()
    wire.gate.set()
    ask(lane, "a")
    lane._used_at -= 60
    wire.closed_by_server = sign == "readable"
    if sign == "error":
        wire.fault = Broken("gone")
        lane._connect = lambda: Wire(gate=wire.gate)

    assert ask(lane, "b") == [b"b"]
    assert wire.opened == (2 if sign == "readable" else 1)
