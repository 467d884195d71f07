"""A bulkhead keeps the calls of one path to its places; nobody waits without end."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

import pytest

from tests.servers.process import wait_until
from tests.unit.wechat.doubles import (
    POLICY,
    MemoryTokens,
    ScriptedTransport,
    make_caller,
    says,
    soon,
)
from wechat.access_token import AccessTokens
from wechat.bulkhead import Bulkhead
from wechat.calls import Caller, CallLimits
from wechat.errors import BreakerOpen, PathFull, WeChatError, WeChatLied
from wechat.token_source import PATH as TOKEN
from wechat.transport import Answer

PATIENCE_S = 60.0


class Stall:
    """A WeChat that holds the calls of one path until it is let go."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.let_go = threading.Event()
        self.inside = threading.Semaphore(0)

    def request(self, _method: str, path: str, **_: object) -> Answer:
        if path == self.path:
            self.inside.release()
            self.let_go.wait(PATIENCE_S)
        return says(errcode=0)

    def close(self) -> None:
        self.let_go.set()


def caller_of(transport: Any, places: int) -> Caller:
    limits = CallLimits(PATIENCE_S, places=places, place_wait_s=0.05)
    return make_caller(transport, failures=1, limits=limits)


def test_a_stalled_path_is_refused_and_the_others_are_not() -> None:
    stall = Stall("/slow")
    caller = caller_of(stall, places=2)
    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(caller.get, "/slow", {}, deadline=soon()) for _ in range(2)]
        for _ in held:
            assert stall.inside.acquire(timeout=PATIENCE_S)

        with pytest.raises(PathFull) as caught:
            caller.get("/slow", {}, deadline=soon())
        assert caller.get("/well", {}, deadline=soon()) == {"errcode": 0}

        stall.let_go.set()
        assert [future.result(PATIENCE_S) for future in held] == [{"errcode": 0}] * 2
    assert (caught.value.retry_after_ms, caught.value.sent) == (50, False)
    # It says nothing of WeChat: one failure would have shut the path.
    assert caller.get("/slow", {}, deadline=soon()) == {"errcode": 0}


def test_a_place_that_comes_free_in_time_is_taken() -> None:
    bulkhead = Bulkhead("/p", 1, wait_s=PATIENCE_S)
    inside = threading.Event()

    def enter() -> None:
        with bulkhead.place(soon()):
            inside.set()

    with ThreadPoolExecutor(1) as pool:
        with bulkhead.place(soon()):
            waiting = pool.submit(enter)
            assert not inside.wait(0.05)
        waiting.result(PATIENCE_S)
    assert inside.is_set()


def test_as_many_may_wait_as_may_call_and_the_next_goes_away_at_once() -> None:
    bulkhead = Bulkhead("/p", 1, wait_s=PATIENCE_S)

    def enter() -> None:
        with bulkhead.place(soon()):
            pass

    with ThreadPoolExecutor(1) as pool, bulkhead.place(soon()):
        waiting = pool.submit(enter)
        queue: Any = bulkhead._waiters
        wait_until(lambda: not queue._value, within_s=PATIENCE_S, what="one waits")
        with pytest.raises(PathFull), bulkhead.place(soon()):
            pytest.fail("there is one place only")
        assert not waiting.done()


def test_nobody_waits_beyond_the_own_deadline() -> None:
    bulkhead = Bulkhead("/p", 1, wait_s=PATIENCE_S)

    with bulkhead.place(soon()), pytest.raises(PathFull), bulkhead.place(soon(10)):
        pytest.fail("there is one place only")


def test_an_open_breaker_refuses_without_a_wait_for_a_place() -> None:
    stall = Stall("/slow")
    caller = caller_of(stall, places=1)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(caller.get, "/slow", {}, deadline=soon())
        assert stall.inside.acquire(timeout=PATIENCE_S)
        caller._breakers.of("/slow").failed()

        with pytest.raises(BreakerOpen):
            caller.get("/slow", {}, deadline=soon())
        stall.let_go.set()
        held.result(PATIENCE_S)


def test_a_failed_call_gives_its_place_back() -> None:
    script: list[Answer | WeChatError] = [Answer(500, b"")] * 3
    limits = CallLimits(PATIENCE_S, places=1, place_wait_s=0.01)
    caller = make_caller(ScriptedTransport(script), limits=limits)

    for _ in range(3):
        with pytest.raises(WeChatLied):
            caller.get("/p", {}, deadline=soon())


def test_a_stalled_token_collects_no_more_callers_than_a_path_may_have() -> None:
    stall = Stall(TOKEN)
    caller = caller_of(stall, places=2)
    app = ("wx1", "secret")
    tokens = AccessTokens(app, caller, MemoryTokens(), policy=POLICY)

    def ask() -> str:
        try:
            return tokens.get(soon())
        except WeChatError as error:
            return error.label

    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(ask)
        assert stall.inside.acquire(timeout=PATIENCE_S)
        others = [pool.submit(ask) for _ in range(9)]
        # Two wait for the first one's token; who comes on top goes away soon.
        done, waiting = wait(others, timeout=PATIENCE_S, return_when=FIRST_COMPLETED)
        while len(waiting) > 2:
            done, waiting = wait(others, timeout=0.1)
        assert {future.result() for future in done} == {PathFull.label}
        assert not first.done()
        stall.let_go.set()
