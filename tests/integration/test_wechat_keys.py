"""The sealed keys of users in Redis: whose they are, how long, and which one counts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from models.stores.wechat_keys import WeChatSecrets
from tests.integration.openings import APP, USER

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.stores.container import Stores

LIFE_MS, PREVIOUS_MS = 60_000, 300_000
OLD, NEW, RESET = (
    WeChatSecrets("openid-1", f"session-key-{number}", "unionid-1") for number in "123"
)


@pytest.fixture
def stores(open_with: Callable[..., Stores]) -> Stores:
    return open_with({})


def put(stores: Stores, secrets: WeChatSecrets, *, previous: bool = False) -> None:
    keys = stores.keys
    name = keys.previous_key(USER) if previous else keys.wechat_key(USER)
    sealed = stores.wechat_keys.seal(secrets, APP, USER)
    stores.redis.execute("SET", name, sealed, "PX", LIFE_MS)


def texts(stores: Stores) -> list[str]:
    return stores.wechat_keys.load(APP, USER).texts


def lives(stores: Stores) -> list[int]:
    names = stores.keys.wechat_key(USER), stores.keys.previous_key(USER)
    return [int(stores.redis.execute("PTTL", name)) for name in names]


def test_a_key_is_found_by_its_user_alone(stores: Stores) -> None:
    put(stores, OLD)
    stolen = stores.redis.execute("GET", stores.keys.wechat_key(USER))
    stores.redis.execute("SET", stores.keys.wechat_key("u_2"), stolen)

    assert stores.wechat_keys.find([(APP, USER)]) == [OLD]
    strangers = [(APP, "u_2"), ("wx2", USER), (APP, "u_9")]
    assert stores.wechat_keys.find(strangers) == [None, None, None]
    assert stores.wechat_keys.load(APP, "u_2").texts == []
    assert stores.wechat_keys.find([]) == []


def test_redis_never_sees_a_key_in_the_clear(stores: Stores) -> None:
    put(stores, OLD)
    stolen = stores.redis.execute("GET", stores.keys.wechat_key(USER))

    for part in (OLD.openid, OLD.session_key, str(OLD.unionid)):
        assert part.encode() not in stolen


def test_equal_keys_have_one_tag_and_blobs_of_their_own(stores: Stores) -> None:
    seal = stores.wechat_keys.seal
    first, second = seal(OLD, APP, USER), seal(OLD, APP, USER)

    assert first[:16] == second[:16]
    assert first != second
    assert seal(NEW, APP, USER)[:16] != first[:16]
    # Nobody can tell that two users have the same key.
    assert seal(OLD, APP, "u_2")[:16] != first[:16]


def test_a_blob_of_an_earlier_release_is_read(stores: Stores) -> None:
    blob = stores.wechat_keys.seal(OLD, APP, USER)[16:]
    stores.redis.execute("SET", stores.keys.wechat_key(USER), blob)

    assert texts(stores) == [OLD.session_key]


@pytest.mark.parametrize("value", [b"", b"short", b"x" * 16, b"x" * 100])
def test_bytes_of_another_shape_are_no_key(stores: Stores, value: bytes) -> None:
    stores.redis.execute("SET", stores.keys.wechat_key(USER), value)

    assert texts(stores) == []


def test_sealed_bytes_of_another_shape_are_no_key(stores: Stores) -> None:
    blob = stores.wechat_keys._sealer.seal(b'{"openid": 1}', f"{APP}:{USER}")

    assert stores.wechat_keys.unseal(b"x" * 16 + blob, APP, USER) is None


def test_the_two_keys_change_places(stores: Stores) -> None:
    put(stores, NEW)
    put(stores, OLD, previous=True)
    seen = stores.wechat_keys.load(APP, USER)

    assert stores.wechat_keys.swap(USER, seen)

    assert texts(stores) == [OLD.session_key, NEW.session_key]
    current, previous = lives(stores)
    assert 0 < current <= LIFE_MS
    assert LIFE_MS < previous <= PREVIOUS_MS
    assert not stores.wechat_keys.swap(USER, seen)


def test_nothing_changes_places_after_a_newer_login(stores: Stores) -> None:
    put(stores, NEW)
    put(stores, OLD, previous=True)
    seen = stores.wechat_keys.load(APP, USER)
    put(stores, RESET)

    assert not stores.wechat_keys.swap(USER, seen)
    assert texts(stores) == [RESET.session_key, OLD.session_key]


def test_a_reset_key_takes_the_place_and_the_end_of_the_old_one(
    stores: Stores,
) -> None:
    put(stores, NEW)
    put(stores, OLD, previous=True)
    stores.redis.execute("PEXPIRE", stores.keys.wechat_key(USER), 9000)
    seen = stores.wechat_keys.load(APP, USER).current
    assert seen is not None

    assert stores.wechat_keys.replace(APP, USER, seen, RESET)

    assert texts(stores) == [RESET.session_key]
    assert 0 < lives(stores)[0] <= 9000
    assert not stores.wechat_keys.replace(APP, USER, seen, OLD)
    assert not stores.wechat_keys.drop(USER, seen)


def test_a_dropped_key_takes_the_one_before_along(stores: Stores) -> None:
    put(stores, NEW)
    put(stores, OLD, previous=True)
    seen = stores.wechat_keys.load(APP, USER).current
    assert seen is not None

    assert stores.wechat_keys.drop(USER, seen)
    assert texts(stores) == []


def test_a_verdict_is_asked_for_once_and_remembered_for_this_key(
    stores: Stores,
) -> None:
    put(stores, OLD)
    held = stores.wechat_keys.load(APP, USER).current
    assert held is not None
    asked: list[int] = []
    started = threading.Barrier(8)

    def ask() -> bytes:
        asked.append(1)
        return b"alive"

    def recall() -> None:
        started.wait(5)
        assert stores.wechat_keys.recall(USER, held, ask) == b"alive"

    threads = [threading.Thread(target=recall) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert stores.wechat_keys.recall(USER, held, ask) == b"alive"
    assert len(asked) == 1
    assert stores.redis.execute("PTTL", stores.keys.key_verdict(USER, held.tag)) > 0
    put(stores, NEW)
    newer = stores.wechat_keys.load(APP, USER).current
    assert newer is not None
    assert stores.wechat_keys.recall(USER, newer, lambda: b"stale") == b"stale"
