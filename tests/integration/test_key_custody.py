"""Two logins of one user: the one before stays a while, and WeChat's word decides."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from config.clock import Deadline
from models.audit import AuditEntry
from models.errors import KuaidaError, NotFound
from models.outbox import Outbox
from models.security_events import SecurityEvent
from models.support_codes import support_code_of
from models.users import ensure_user
from tasks.app import _process, configure, resources
from tasks.logins import enrich_logins
from tasks.wechat_keys import settle_session_key
from tests.integration.login_house import CODE2SESSION
from tests.integration.private_house import ANY_LIMIT, CHECK, private_house
from web.services.account_finder import AccountFinder
from web.services.key_reset import KeyReset, KeyResetService
from wechat.key_check import KeyCheck

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config.settings import Settings
    from tests.integration.private_house import PrivateHouse
    from web.services.caller import Claims

OPENID = "oPRIVATE000000000000000000x1"
TASK = "tasks.wechat_keys.settle_session_key"
RESET = "/wxa/resetusersessionkey"


@pytest.fixture
def house(
    redis_url: str, sqlite_url: str, make_settings: Callable[..., Settings]
) -> Iterator[PrivateHouse]:
    """Open the house, with its tasks in this process too."""
    settings = make_settings(
        REDIS_URL=redis_url, BROKER_URL=redis_url, DATABASE_URL=sqlite_url, **ANY_LIMIT
    )
    with private_house(settings) as opened:
        configure(settings)
        _process._opened = wired = replace(resources(), gateway=opened.gateway)
        yield opened
        wired.close()


def keys(house: PrivateHouse, me: Claims) -> list[str]:
    return house.stores.wechat_keys.load(me.app_id, me.user_id).texts


def held_by_wechat(house: PrivateHouse) -> str:
    key = house.wechat.state.users[OPENID].session_key
    assert key is not None
    return key


def enrich(house: PrivateHouse) -> list[Outbox]:
    """Do the worker's part and return the checks it asks for."""
    stream = house.stores.redis.execute("XRANGE", house.stores.keys.logins, "-", "+")
    enrich_logins([name.decode() for name, _ in stream])
    return [row for row in house.rows(Outbox) if row.name == TASK]


def overtaken_login(house: PrivateHouse) -> Claims:
    """Log in twice so that the first exchange is the last one to be written."""
    first = threading.Event()
    real = house.logins.stores.sessions.open
    told: list[Claims] = []

    def slow_open(new: Any) -> Any:
        if not first.is_set():
            first.set()
            second.join(60)
        return real(new)

    house.logins.stores.sessions.open = slow_open  # type: ignore[method-assign]
    code = house.logins.code(OPENID)

    def log_in_meanwhile() -> None:
        first.wait(60)
        told.append(house.join(OPENID))

    second = threading.Thread(target=log_in_meanwhile)
    second.start()
    house.logins.login(code)
    house.logins.stores.sessions.open = real  # type: ignore[method-assign]
    return told[0]


def test_data_encrypted_just_before_a_login_opens_after_it(
    house: PrivateHouse,
) -> None:
    house.join(OPENID)
    data, signed = house.sealed(OPENID)

    me = house.join(OPENID)

    assert house.show(me, data, signed)["nickName"] == "微信用户"
    assert len(keys(house, me)) == 2
    assert house.calls() == 0


def test_a_key_that_wechat_gave_again_displaces_nothing(house: PrivateHouse) -> None:
    house.join(OPENID)
    data, _ = house.sealed(OPENID)
    me = house.join(OPENID)
    house.join(OPENID, session_key=held_by_wechat(house))

    assert house.show(me, data)["nickName"] == "微信用户"


def test_the_key_before_lives_as_long_as_its_window(house: PrivateHouse) -> None:
    house.join(OPENID)
    me = house.join(OPENID)
    stores = house.stores
    left = stores.redis.execute("PTTL", stores.keys.previous_key(me.user_id))

    assert 0 < left <= 300_000


def test_logins_far_apart_are_not_asked_about(house: PrivateHouse) -> None:
    me = house.join(OPENID)
    stores = house.stores
    name = stores.keys.wechat_key(me.user_id)
    left = int(stores.redis.execute("PTTL", name))
    stores.redis.execute("PEXPIRE", name, left - 31_000)
    house.join(OPENID)

    assert enrich(house) == []


def test_two_logins_at_once_end_with_the_key_that_wechat_holds(
    house: PrivateHouse,
) -> None:
    me = overtaken_login(house)
    assert keys(house, me)[0] != held_by_wechat(house)
    (work,) = enrich(house)
    assert (work.subject_id, work.app_id) == (me.user_id, me.app_id)
    live_ms = house.settings.tokens.session_key_s * 1000
    assert work.expires_at == work.created_at + live_ms

    assert [settle_session_key(work.id) for _ in range(2)] == ["done", "nothing"]

    assert keys(house, me)[0] == held_by_wechat(house)
    data, _ = house.sealed(OPENID)
    assert house.show(me, data)["nickName"] == "微信用户"
    asked = house.calls()
    assert (
        house.stores.redis.execute("PTTL", house.stores.keys.wechat_key(me.user_id)) > 0
    )
    assert asked == 2


def test_logins_in_the_right_order_are_asked_about_and_stay(
    house: PrivateHouse,
) -> None:
    house.join(OPENID)
    me = house.join(OPENID)
    (work,) = enrich(house)

    settle_session_key(work.id)

    assert keys(house, me)[0] == held_by_wechat(house)
    assert house.calls() == 1


def test_a_failed_decrypt_swaps_the_keys_before_the_task_comes(
    house: PrivateHouse,
) -> None:
    me = overtaken_login(house)
    data, _ = house.sealed(OPENID)
    assert house.show(me, data)["nickName"] == "微信用户"

    with pytest.raises(KuaidaError) as error:
        house.show(me, replace(data, encrypted_data="AAAA"))

    assert error.value.reason == "decrypt_failed"
    assert keys(house, me)[0] == held_by_wechat(house)


def test_the_check_waits_for_a_wechat_that_is_away(house: PrivateHouse) -> None:
    me = overtaken_login(house)
    (work,) = enrich(house)
    house.fault(CHECK, mode="http500")

    assert settle_session_key(work.id) == "postponed"
    assert keys(house, me)[0] != held_by_wechat(house)


@pytest.mark.parametrize("verdict", ["gone", "stale"])
def test_keys_that_are_nothing_to_wechat_are_told_as_such(
    house: PrivateHouse, verdict: str
) -> None:
    me = house.join(OPENID)
    if verdict == "gone":
        house.stores.redis.execute("DEL", house.stores.keys.wechat_key(me.user_id))
    house.login_elsewhere(OPENID)
    check = KeyCheck(house.stores.wechat_keys, house.gateway)

    assert check.settle(me.app_id, me.user_id, Deadline.after_ms(60_000)) == verdict


def test_many_logins_at_once_end_with_the_key_that_wechat_holds(
    house: PrivateHouse,
) -> None:
    house.fault(CODE2SESSION, mode="delay", delay_ms=20, every=2)
    threads = [threading.Thread(target=house.join, args=(OPENID,)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    me = house.join(OPENID)
    for work in enrich(house):
        settle_session_key(work.id)

    assert keys(house, me)[0] == held_by_wechat(house)


# Reset


@pytest.fixture
def resets(house: PrivateHouse) -> KeyResetService:
    finder = AccountFinder(house.settings, house.stores, house.database)
    return KeyResetService(house.stores, house.database, house.gateway, finder)


def known(house: PrivateHouse) -> Claims:
    """Log a user in whom SQL knows."""
    me = house.join(OPENID)
    with house.database.unit_of_work() as work:
        ensure_user(work.session, me.user_id, me.app_id, 1)
    return me


def not_reset(resets: KeyResetService, me: Claims) -> str:
    """Return why a reset fails."""
    with pytest.raises(KuaidaError) as error:
        resets.reset(me.user_id, Deadline.after_ms(2000))
    return error.value.reason


def audited(house: PrivateHouse, me: Claims) -> list[str | None]:
    """Return what the audit log says of the user's resets, in its order."""
    entries = sorted(house.rows(AuditEntry), key=lambda entry: entry.id)
    told = {(entry.act, entry.subject_id) for entry in entries}
    assert told <= {("user.reset_session_key", me.user_id)}
    return [entry.detail for entry in entries]


def test_a_reset_makes_the_old_key_worthless_and_keeps_the_user_in(
    house: PrivateHouse, resets: KeyResetService
) -> None:
    me = known(house)
    leaked, _ = house.sealed(OPENID)
    name = house.stores.keys.wechat_key(me.user_id)
    house.stores.redis.execute("PEXPIRE", name, 50_000)

    done = resets.reset(me.user_id, Deadline.after_ms(60_000))

    assert done == KeyReset(me.user_id, "reset")
    assert keys(house, me) == [held_by_wechat(house)]
    assert 0 < house.stores.redis.execute("PTTL", name) <= 50_000
    with pytest.raises(KuaidaError):
        house.show(me, leaked)
    data, _ = house.sealed(OPENID)
    assert house.show(me, data)["nickName"] == "微信用户"
    assert audited(house, me) == ["asked", "reset"]
    assert [e.kind for e in house.rows(SecurityEvent)] == ["session_key_reset"]


@pytest.mark.parametrize("enriched", [True, False], ids=["SQL knows", "SQL is late"])
def test_a_reset_finds_the_user_by_each_name(
    house: PrivateHouse, resets: KeyResetService, *, enriched: bool
) -> None:
    me = known(house) if enriched else house.join(OPENID)
    codes = [support_code_of(me.user_id)] if enriched else []

    for name in (me.user_id, OPENID, *codes):
        done = resets.reset(name, Deadline.after_ms(60_000))
        assert done == KeyReset(me.user_id, "reset")


def test_a_key_that_wechat_has_replaced_is_forgotten(
    house: PrivateHouse, resets: KeyResetService
) -> None:
    me = known(house)
    house.login_elsewhere(OPENID)

    assert resets.reset(me.user_id, Deadline.after_ms(60_000)).outcome == "stale"
    assert keys(house, me) == []
    assert resets.reset(me.user_id, Deadline.after_ms(60_000)).outcome == "none"
    assert audited(house, me) == ["asked", "stale", "none"]


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("accept_then_reset", "wechat_failed"),
        ("half_json", "wechat_failed"),
        ("http500", "wechat_failed"),
        ("stall", "wechat_timeout"),
    ],
)
def test_a_reset_whose_answer_is_lost_leaves_no_key_to_open_with(
    house: PrivateHouse, resets: KeyResetService, mode: str, reason: str
) -> None:
    house.join(OPENID)
    before, _ = house.sealed(OPENID)
    me = known(house)
    leaked, _ = house.sealed(OPENID)
    house.fault(RESET, mode=mode)

    assert not_reset(resets, me) == reason

    assert keys(house, me) == []
    for data in (before, leaked):
        with pytest.raises(KuaidaError) as error:
            house.show(me, data)
        assert error.value.reason == "session_key_stale"
    assert audited(house, me) == ["asked", "unknown"]
    assert [e.kind for e in house.rows(SecurityEvent)] == ["session_key_reset"]
    me = house.join(OPENID)
    data, _ = house.sealed(OPENID)
    assert house.show(me, data)["nickName"] == "微信用户"


def test_a_login_during_a_reset_does_not_keep_the_old_key(house: PrivateHouse) -> None:
    me, store = known(house), house.stores.wechat_keys
    held = store.load(me.app_id, me.user_id).current
    assert held is not None
    house.join(OPENID)

    assert not store.drop(me.user_id, held)

    assert keys(house, me) == [held_by_wechat(house)]


def test_a_reset_that_wechat_refuses_changes_nothing(
    house: PrivateHouse, resets: KeyResetService
) -> None:
    me = known(house)
    house.fault(RESET, mode="error", errcode=48001)

    assert not_reset(resets, me) == "wechat_failed"

    assert keys(house, me) == [held_by_wechat(house)]
    assert audited(house, me) == ["asked", "failed"]
    assert house.rows(SecurityEvent) == []
    with pytest.raises(NotFound):
        resets.reset("u_nobody", Deadline.after_ms(60_000))
