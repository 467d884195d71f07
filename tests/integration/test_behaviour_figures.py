"""Figures of behaviour on a real Redis: written by admission, faded, bounded."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest

from config.clock import now_ms, sleep
from models.behaviour_figures import Subject
from models.errors import Limited
from models.stores.admission import Caller
from models.stores.behaviour import ROW
from models.stores.container import open_stores
from models.stores.steps import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from models.behaviour_figures import Behaviour
    from models.stores.container import Stores

ANN = Caller("10.0.0.1", user="u_ann", device="phone", app="wx")
USER, DEVICE = Subject("user", "u_ann"), Subject("device", "phone")
HERE = Step("/api/v1/me", rhythm=True)
# What fades while the machine stands still is nothing then.
WINDOW_S = 3600
LONG = {"RISK_WINDOW_S": str(WINDOW_S)}
Open = Any


@pytest.fixture
def open_house(
    redis_url: str, make_settings: Callable[..., Settings]
) -> Iterator[Callable[..., Stores]]:
    opened: list[Stores] = []

    def make(**variables: str) -> Stores:
        given = {"REDIS_URL": redis_url, "RISK_BUSY": "5", **LONG, **variables}
        opened.append(open_stores(make_settings(**given)))
        session = {"user": "u_ann", "app": "wx", "epoch": "0"}
        fields = [part for pair in session.items() for part in pair]
        key = opened[-1].keys.session("se_1")
        opened[-1].redis.execute("HSET", key, *fields)
        return opened[-1]

    yield make
    for stores in opened:
        stores.close()


def ask(
    stores: Stores, times: int = 1, caller: Caller = ANN, step: Step = HERE
) -> None:
    for _ in range(times):
        stores.admission.admit_request("read", caller, session_id="se_1", step=step)


def seen(stores: Stores, subject: Subject = USER) -> Behaviour:
    return stores.behaviour.find([subject])[0]


def test_a_request_counts_for_its_user_and_its_device(open_house: Open) -> None:
    stores = open_house()

    ask(stores, 3)

    for subject in (USER, DEVICE):
        figures = seen(stores, subject)
        assert figures.requests == pytest.approx(3, abs=0.01)
        assert figures.gaps == pytest.approx(2, abs=0.01)
        assert figures.turns == 0


def let_pass(stores: Stores, seconds: float, subject: Subject = USER) -> None:
    """Have the last request of a subject be that much longer ago."""
    key = stores.keys.figures(*subject)
    at, *figures = ROW.unpack(stores.redis.execute("GET", key))
    row = ROW.pack(at - seconds * 1000, *figures)
    stores.redis.execute("SET", key, row)


def test_a_metronome_is_told_from_a_person(open_house: Open) -> None:
    stores = open_house()
    for pause in (100,) * 12:
        ask(stores)
        let_pass(stores, pause)
    steady = seen(stores)
    stores.redis.execute("DEL", stores.keys.figures("user", "u_ann"))
    for pause in (10, 250, 5, 300, 3, 200):
        ask(stores)
        let_pass(stores, pause)
    lively = seen(stores)

    assert steady.mean_gap_s == pytest.approx(100, rel=0.1)
    assert steady.variation < lively.variation


def test_figures_fade_by_e_in_a_window(open_house: Open) -> None:
    stores = open_house()
    # What a busy user left a window ago, by Redis' clock.
    seconds, micros = stores.redis.execute("TIME")
    then = int(seconds) * 1000 + int(micros) // 1000 - WINDOW_S * 1000
    row = ROW.pack(then, 100, 80, 40, 30, 20, 10, 0, 60, 0)
    stores.redis.execute("SET", stores.keys.figures("user", "u_ann"), row)

    ask(stores)

    figures = seen(stores)
    assert figures.requests == pytest.approx(100 / 2.71828 + 1, rel=0.01)
    # A pause longer than a tenth of the window is no interval.
    assert figures.gaps == pytest.approx(80 / 2.71828, rel=0.01)
    assert figures.misses == pytest.approx(20 / 2.71828, rel=0.01)


def test_figures_live_three_windows(open_house: Open) -> None:
    stores = open_house()

    ask(stores, 6)

    for key in (stores.keys.figures("user", "u_ann"), stores.keys.busy):
        life_s = stores.redis.execute("PTTL", key) / 1000
        assert 3 * WINDOW_S - 60 < life_s <= 3 * WINDOW_S


def test_a_clock_set_back_neither_fades_nor_grows(open_house: Open) -> None:
    stores = open_house()
    row = ROW.pack(now_ms() + 3_600_000, 7, *[0] * 8)
    stores.redis.execute("SET", stores.keys.figures("user", "u_ann"), row)

    ask(stores)

    assert seen(stores).requests == 8


def test_waiting_is_no_rhythm(open_house: Open) -> None:
    stores = open_house()

    ask(stores, 6, step=Step("/api/v1/events", rhythm=False))

    figures = seen(stores)
    assert figures.gaps == 0
    assert figures.requests == pytest.approx(6, abs=0.01)


def test_a_change_of_route_is_a_turn(open_house: Open) -> None:
    stores = open_house()

    for route in ("/a", "/a", "/b", "/b", "/a"):
        ask(stores, step=HERE._replace(route=route))

    assert seen(stores).turns == pytest.approx(2, abs=0.01)


def test_what_was_not_found_comes_with_the_next_request(open_house: Open) -> None:
    stores = open_house()

    ask(stores, step=HERE._replace(misses=12))

    assert seen(stores).misses == 12


def test_another_device_at_each_request_makes_hops_and_no_keys(
    open_house: Open,
) -> None:
    stores = open_house()

    for number in range(20):
        ask(stores, caller=Caller("10.0.0.1", "u_ann", f"phone-{number}", "wx"))

    assert seen(stores).hops == pytest.approx(19, abs=0.05)
    assert len(stores.redis.execute("KEYS", "*figures:device:*")) == 1


def test_without_a_device_nobody_hops(open_house: Open) -> None:
    stores = open_house()

    for caller in (ANN, Caller("10.0.0.1", "u_ann", "", "wx"), ANN):
        ask(stores, caller=caller)

    assert seen(stores).hops == 0
    assert seen(stores, DEVICE).requests == pytest.approx(2, abs=0.01)


def test_only_the_busy_are_kept_for_a_look_and_not_too_many(open_house: Open) -> None:
    stores = open_house(RISK_WAITING_MOST="10")

    ask(stores, 4)
    assert stores.behaviour.list_busy(100) == []
    ask(stores, 2)
    assert set(stores.behaviour.list_busy(100)) == {USER, DEVICE}

    keys = [f"user:u_{number}" for number in range(30)]
    pairs = [part for at, key in enumerate(keys) for part in (at, key)]
    stores.redis.execute("ZADD", stores.keys.busy, *pairs)
    stores.behaviour.looked_at([USER, DEVICE])
    for subject in (USER, DEVICE):
        stores.redis.execute("DEL", stores.keys.figures(*subject))
    ask(stores, 6)

    # The two newest are those who have just asked.
    assert set(stores.behaviour.list_busy(100)[-2:]) == {USER, DEVICE}
    assert len(stores.behaviour.list_busy(100)) == 10


def test_who_was_looked_at_comes_back_while_busy(open_house: Open) -> None:
    stores = open_house()
    ask(stores, 6)

    stores.behaviour.looked_at(stores.behaviour.list_busy(100))
    assert stores.behaviour.list_busy(100) == []
    for subject in (USER, DEVICE):
        let_pass(stores, 5, subject)
    ask(stores)

    assert set(stores.behaviour.list_busy(100)) == {USER, DEVICE}


@pytest.mark.parametrize("switch", [{"RISK_RULES": "false"}, {"RATE_LIMITS": "off"}])
def test_switched_off_nothing_is_kept(open_house: Open, switch: dict[str, str]) -> None:
    stores = open_house(**switch)

    ask(stores, 10)

    assert stores.redis.execute("KEYS", "*figures*") == []
    assert stores.behaviour.list_busy(100) == []


def test_a_session_that_is_not_live_leaves_no_figures(open_house: Open) -> None:
    stores = open_house()
    stores.redis.execute("HSET", stores.keys.session("se_1"), "revoked", "logout")

    ask(stores, 6)

    assert stores.redis.execute("KEYS", "*figures*") == []


def test_refused_requests_are_behaviour_too(open_house: Open) -> None:
    stores = open_house(RATE_LIMITS='{"read.user": "2/0.001"}')

    for _ in range(5):
        try:
            ask(stores)
        except Limited:
            continue

    assert seen(stores).requests == pytest.approx(5, abs=0.01)


def test_the_watch_list_ends_by_itself(open_house: Open) -> None:
    stores = open_house()

    stores.behaviour.watch({"phone": 60_000, "other": 60_000})
    assert stores.behaviour.watched_ms("phone") > 0
    stores.behaviour.watch({"phone": 1})
    sleep(0.02)

    assert stores.behaviour.watched_ms("phone") == 0
    assert stores.behaviour.watched_ms("other") > 0
    stores.behaviour.unwatch("other")
    assert stores.behaviour.watched_ms("other") == 0


def test_python_and_lua_pack_the_same_row() -> None:
    assert ROW.size == struct.calcsize("<d") + 9 * struct.calcsize("<f")
