"""The access token: shared, refreshed by one, healed once, kept while Redis is away."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from config.clock import now_ms
from tests.unit.wechat.doubles import (
    APP_ID,
    POLICY,
    SECRET,
    MemoryTokens,
    ScriptedTransport,
    make_caller,
    says,
    soon,
)
from wechat.access_token import FORCE_A_DAY, FORCE_GAP_S, AccessTokens
from wechat.errors import (
    ConfigError,
    TokenStale,
    WeChatError,
    WeChatLied,
    WeChatTimeout,
    WeChatUnreachable,
)
from wechat.simulator.transport import SimulatedTransport
from wechat.token_source import PATH
from wechat.token_store import HeldToken, TokenPolicy
from wechat.transport import Answer, Transport

PATIENCE_S = 60


class Time:
    """Epoch milliseconds that the test moves."""

    def __init__(self) -> None:
        self.ms = now_ms()

    def __call__(self) -> int:
        return self.ms


def tokens_of(
    transport: Transport,
    store: MemoryTokens,
    clock: Time | None = None,
    policy: TokenPolicy = POLICY,
) -> AccessTokens:
    caller = make_caller(transport)
    app = (APP_ID, SECRET)
    return AccessTokens(app, caller, store, policy=policy, clock=clock or Time())


def fetches(sim: SimulatedTransport) -> int:
    return int(sim.control("GET", "/_sim/calls")["calls"].get(PATH, 0))


def token(text: str, life_s: object = 7200) -> Answer:
    return says(access_token=text, expires_in=life_s)


STALE = TokenStale("/p", 40001, "stale")


def test_two_processes_share_one_fetch(sim, store) -> None:
    first = tokens_of(sim, store).get(soon())

    assert tokens_of(sim, store).get(soon()) == first
    assert fetches(sim) == 1


def test_a_held_token_needs_neither_redis_nor_wechat(sim, store) -> None:
    tokens = tokens_of(sim, store)
    first = tokens.get(soon())
    store.away = True

    assert tokens.get(soon()) == first
    assert fetches(sim) == 1


def test_many_threads_of_a_process_fetch_once(sim, store) -> None:
    tokens = tokens_of(sim, store)
    given = {"path": PATH, "mode": "delay", "delay_ms": 30}
    sim.control("POST", "/_sim/faults", given)
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(tokens.get(soon())))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 16
    assert len(set(found)) == 1
    assert fetches(sim) == 1


def test_another_refresher_is_waited_for(sim, store) -> None:
    store.leased = 99
    made = HeldToken("T" * 40, now_ms() + 7_200_000, 99)
    timer = threading.Timer(0.01, lambda: setattr(store, "stored", made))
    timer.start()

    patient = replace(POLICY, wait_s=PATIENCE_S)
    assert tokens_of(sim, store, policy=patient).get(soon()) == made.token
    timer.join()
    assert fetches(sim) == 0


def test_another_refresher_is_not_waited_for_without_end(sim, store) -> None:
    store.leased = 99

    with pytest.raises(WeChatTimeout) as caught:
        tokens_of(sim, store).get(soon())

    assert caught.value.sent is False


def test_a_living_token_is_used_while_another_process_refreshes(sim, store) -> None:
    store.stored = HeldToken("T" * 40, now_ms() + 100_000, 1)
    store.leased = 99

    assert tokens_of(sim, store).get(soon()) == "T" * 40


def test_without_redis_a_token_is_fetched_and_kept_and_not_fetched_again(
    sim, store
) -> None:
    store.away = True
    clock = Time()
    tokens = tokens_of(sim, store, clock)
    first = tokens.get(soon())
    clock.ms += (7200 - 250) * 1000
    for _ in range(20):
        assert tokens.get(soon()) == first

    assert fetches(sim) == 2


def test_the_lease_is_given_back_after_a_refresh(sim, store) -> None:
    tokens_of(sim, store).get(soon())

    assert store.leased is None


def test_a_newer_fence_in_the_store_wins(sim, store) -> None:
    newer = HeldToken("N" * 40, now_ms() + 7_200_000, 50)

    class Late(MemoryTokens):
        def lease(self, app_id: str, ttl_s: float) -> int | None:
            fence = super().lease(app_id, ttl_s)
            self.stored = newer
            return fence

    assert tokens_of(sim, Late()).get(soon()) == newer.token


def test_redis_may_leave_between_lease_and_save(sim) -> None:
    class Leaving(MemoryTokens):
        def save(self, app_id: str, token: str, expires_at_ms: int, fence: int) -> bool:
            self.away = True
            return super().save(app_id, token, expires_at_ms, fence)

    tokens = tokens_of(sim, Leaving())

    assert tokens.get(soon()) == tokens.get(soon())


@pytest.mark.parametrize(
    "answer",
    [
        says(expires_in=7200),
        says(access_token="", expires_in=7200),
        says(access_token="x" * 3000, expires_in=7200),
        says(access_token="a\r\nb", expires_in=7200),
        says(access_token="快答", expires_in=7200),
        token("T" * 40, None),
        token("T" * 40, 0),
        token("T" * 40, "soon"),
        token("T" * 40, 10**8),
        Answer(200, b"{"),
    ],
)
def test_a_token_answer_of_the_wrong_shape_is_a_lie(answer, store) -> None:
    with pytest.raises(WeChatLied) as caught:
        tokens_of(ScriptedTransport([answer]), store).get(soon())

    assert caught.value.sent is False


def test_expires_in_may_be_text(store) -> None:
    tokens = tokens_of(ScriptedTransport([token("T" * 40, "7200")]), store)

    assert tokens.get(soon()) == "T" * 40


@pytest.mark.parametrize("errcode", [40001, 40013, 40125])
def test_a_wrong_secret_is_a_configuration_error_and_is_not_asked_again_soon(
    errcode, store
) -> None:
    transport = ScriptedTransport([says(errcode=errcode)])
    tokens = tokens_of(transport, store)
    with pytest.raises(ConfigError):
        tokens.get(soon())

    with pytest.raises(WeChatUnreachable):
        tokens.get(soon())

    assert len(transport.sent) == 1


def test_failures_are_followed_by_longer_and_longer_pauses(store) -> None:
    clock = Time()
    transport = ScriptedTransport([says(errcode=-1) for _ in range(9)])
    tokens = tokens_of(transport, store, clock)
    for _ in range(60):
        with pytest.raises(WeChatError):
            tokens.get(soon())
        clock.ms += 1000

    assert len(transport.sent) == 6


def test_a_failed_renewal_leaves_the_living_token_in_use(store) -> None:
    clock = Time()
    transport = ScriptedTransport([token("T" * 40), says(errcode=-1)])
    tokens = tokens_of(transport, store, clock)
    tokens.get(soon())
    clock.ms += 7000 * 1000

    assert tokens.get(soon()) == "T" * 40


def test_refresh_ahead_does_nothing_while_there_is_time(sim, store) -> None:
    tokens = tokens_of(sim, store)
    assert tokens.refresh_ahead(soon())

    assert not tokens.refresh_ahead(soon())
    assert fetches(sim) == 1


def test_refresh_ahead_renews_near_the_end(sim, store) -> None:
    clock = Time()
    tokens = tokens_of(sim, store, clock)
    first = tokens.get(soon())
    clock.ms += 6910 * 1000
    sim.control("POST", "/_sim/clock", {"advance_s": 6910})

    assert tokens.refresh_ahead(soon())
    assert tokens.get(soon()) != first


def test_healing_first_looks_whether_somebody_else_already_did(sim, store) -> None:
    tokens = tokens_of(sim, store)
    old = tokens.get(soon())
    store.stored = HeldToken("N" * 40, now_ms() + 7_200_000, 50)

    assert tokens.heal(STALE, old, soon()) == "N" * 40
    assert fetches(sim) == 1


def test_healing_fetches_when_the_shared_token_is_the_refused_one(sim, store) -> None:
    tokens = tokens_of(sim, store)
    old = tokens.get(soon())
    sim.control("POST", "/_sim/clock", {"advance_s": 7300})

    assert tokens.heal(STALE, old, soon()) != old
    assert not store.forced


def test_healing_forces_when_wechat_insists_on_the_refused_token(sim, store) -> None:
    tokens = tokens_of(sim, store)
    old = tokens.get(soon())

    healed = tokens.heal(STALE, old, soon())

    assert healed != old
    assert list(store.forced.values()) == [1]
    assert store.leased is not None, "kept: it is the gap between two forced ones"
    assert store.ttl_s == FORCE_GAP_S


def test_a_second_forced_refresh_inside_the_gap_is_not_tried(sim, store) -> None:
    tokens = tokens_of(sim, store)
    healed = tokens.heal(STALE, tokens.get(soon()), soon())

    with pytest.raises(TokenStale):
        tokens.heal(STALE, healed, soon())
    with pytest.raises(TokenStale):
        tokens.heal(STALE, healed, soon())

    assert sum(store.forced.values()) == 1


def test_the_day_has_twenty_forced_refreshes(sim, store) -> None:
    tokens = tokens_of(sim, store)
    old = tokens.get(soon())
    store.forced.update(dict.fromkeys(all_days(), FORCE_A_DAY))

    with pytest.raises(TokenStale):
        tokens.heal(STALE, old, soon())

    assert store.leased is None


def all_days() -> list[str]:
    """Every day the test may run on, in China."""
    return [f"{y}-{m:02}-{d:02}" for y in range(2024, 2060) for m in range(1, 13)
            for d in range(1, 32)]  # fmt: skip


def test_without_redis_nothing_is_forced(sim, store) -> None:
    tokens = tokens_of(sim, store)
    old = tokens.get(soon())
    store.away = True

    with pytest.raises(TokenStale):
        tokens.heal(STALE, old, soon())

    assert not store.forced


def test_without_redis_a_new_token_still_heals(sim, store) -> None:
    tokens = tokens_of(sim, store)
    old = tokens.get(soon())
    store.away = True
    sim.control("POST", "/_sim/clock", {"advance_s": 7300})

    assert tokens.heal(STALE, old, soon()) != old


def test_a_failed_fetch_while_healing_is_told_as_not_sent(sim, store) -> None:
    tokens = tokens_of(sim, store)
    old = tokens.get(soon())
    given = {"path": PATH, "mode": "http500"}
    sim.control("POST", "/_sim/faults", given)

    with pytest.raises(WeChatLied) as caught:
        tokens.heal(STALE, old, soon())
    with pytest.raises(TokenStale):
        tokens.heal(STALE, old, soon())

    assert caught.value.sent is False
    assert fetches(sim) == 2


class Slow:
    """A WeChat that answers once it is let go."""

    def __init__(self) -> None:
        self.asked, self.let_go = threading.Event(), threading.Event()

    def request(self, *_: object, **__: object) -> Answer:
        self.asked.set()
        assert self.let_go.wait(PATIENCE_S)
        return token("T" * 40)

    def close(self) -> None:
        self.let_go.set()


def test_a_refresh_that_outlasts_a_deadline_costs_that_caller_only(store) -> None:
    wechat = Slow()
    tokens = tokens_of(wechat, store)
    patient = threading.Thread(target=lambda: tokens.get(soon()))
    patient.start()
    assert wechat.asked.wait(PATIENCE_S)

    with pytest.raises(WeChatTimeout):
        tokens.get(soon(10))
    wechat.let_go.set()
    patient.join()

    assert tokens.get(soon()) == "T" * 40


def test_the_token_shows_in_no_repr() -> None:
    held = HeldToken("very-secret", 1, 2)

    assert "very-secret" not in repr(held)
