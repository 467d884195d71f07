"""Encrypted data from the page to the masked answer, on real stores and a simulator."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from config.clock import monotonic, now_ms
from models.errors import KuaidaError
from tests.conftest import NOWHERE
from tests.integration.private_house import ANY_LIMIT, private_house
from web.services.open_data import OpenDataService, Signed
from wechat.open_data import SealedData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from config.settings import Settings
    from tests.integration.private_house import PrivateHouse

OPENID = "oPRIVATE000000000000000000x1"


@pytest.fixture
def house(
    redis_url: str, sqlite_url: str, make_settings: Callable[..., Settings]
) -> Iterator[PrivateHouse]:
    settings = make_settings(
        REDIS_URL=redis_url, DATABASE_URL=sqlite_url, WECHAT_APPS="", **ANY_LIMIT
    )
    with private_house(settings) as opened:
        yield opened


def refused(house: PrivateHouse, *asked: Any) -> str:
    """Return why the house does not show what was asked for."""
    with pytest.raises(KuaidaError) as error:
        house.show(*asked)
    return error.value.reason


def spoiled(data: SealedData) -> dict[str, SealedData]:
    """Return the same data, broken in each way."""
    text, iv = data.encrypted_data, data.iv
    return {
        "base64": SealedData("!" + text[1:], iv),
        "empty": SealedData("", iv),
        "cut": SealedData(text[:-8], iv),
        "padding": SealedData(text[:-24] + "A" * 24, iv),
        "iv": SealedData(text, "AAAA"),
        "text": SealedData(text, "A" * 22 + "=="),
    }


@pytest.mark.parametrize("kind", ["user_info", "phone", "werun", "group"])
def test_every_kind_opens_and_is_shown_masked(house: PrivateHouse, kind: str) -> None:
    me = house.join(OPENID, phone="13800008000", unionid="uPRIVATE00000000000000001")
    data, signed = house.sealed(OPENID, kind)

    shown = house.show(me, data, signed)

    assert shown["watermark"]["appid"] == me.app_id
    assert OPENID not in str(shown) or kind == "group"
    assert "13800008000" not in str(shown)
    assert "uPRIVATE0000" not in str(shown)
    if kind == "phone":
        assert shown["purePhoneNumber"] == "138****8000"
        assert shown["countryCode"] == "86"
    if kind == "user_info":
        assert (shown["openId"], shown["nickName"]) == ("oPR****0x1", "微信用户")
        assert shown["unionId"] == "uPR****001"


def test_whatever_is_wrong_with_data_is_one_error(house: PrivateHouse) -> None:
    me = house.join(OPENID)
    data, _ = house.sealed(OPENID)

    told = {name: refused(house, me, bad) for name, bad in spoiled(data).items()}

    assert set(told.values()) == {"decrypt_failed"}


@pytest.mark.parametrize(
    "mark",
    [
        {"appid": "wxother0000000000", "timestamp": 0},
        {"timestamp": 0},
        {"timestamp": -601},
        {"timestamp": 300},
        None,
    ],
    ids=str,
)
def test_a_watermark_of_elsewhere_or_another_time_is_refused(
    house: PrivateHouse, mark: dict[str, Any] | None
) -> None:
    me = house.join(OPENID)
    if mark is not None:
        # What is of this moment is of another app, or of none.
        named = {"appid": me.app_id} if mark["timestamp"] else {}
        mark = {**named, **mark, "timestamp": now_ms() // 1000 + mark["timestamp"]}
    data, _ = house.sealed(OPENID, watermark=mark)

    assert refused(house, me, data) == "watermark_mismatch"


@pytest.mark.parametrize("kind", ["phone", "werun", "group"])
def test_data_of_any_kind_without_a_watermark_is_refused(
    house: PrivateHouse, kind: str
) -> None:
    me = house.join(OPENID, phone="13800008000")
    data, _ = house.sealed(OPENID, kind, watermark=None)

    assert refused(house, me, data) == "watermark_mismatch"


def test_data_that_names_another_person_is_refused(house: PrivateHouse) -> None:
    me = house.join(OPENID)
    data, _ = house.sealed(OPENID, openId="oSOMEBODY00000000000000000x1")

    assert refused(house, me, data) == "watermark_mismatch"


def test_data_of_another_user_does_not_open(house: PrivateHouse) -> None:
    me = house.join(OPENID)
    house.join("oOTHER0000000000000000000001")
    data, _ = house.sealed("oOTHER0000000000000000000001")

    assert refused(house, me, data) == "decrypt_failed"


def test_raw_data_that_was_changed_is_refused(house: PrivateHouse) -> None:
    me = house.join(OPENID)
    data, signed = house.sealed(OPENID)
    changed = Signed(signed.raw_data.replace("微信", "微信 "), signed.signature)
    wrong = Signed(signed.raw_data, "0" * 40)

    assert refused(house, me, data, changed) == "signature_mismatch"
    assert refused(house, me, data, wrong) == "signature_mismatch"


def test_without_a_key_of_ours_the_caller_logs_in_again(house: PrivateHouse) -> None:
    me = house.join(OPENID)
    data, _ = house.sealed(OPENID)
    house.stores.redis.execute("DEL", house.stores.keys.wechat_key(me.user_id))

    assert refused(house, me, data) == "session_key_stale"
    assert house.calls() == 0


def test_without_redis_the_caller_logs_in_again(
    house: PrivateHouse, make_settings: Callable[..., Settings]
) -> None:
    me = house.join(OPENID)
    data, _ = house.sealed(OPENID)
    with private_house(make_settings(REDIS_URL=NOWHERE)) as away:
        assert refused(away, me, data) == "session_key_stale"


def test_a_key_that_wechat_replaced_is_stale_and_a_login_heals_it(
    house: PrivateHouse,
) -> None:
    me = house.join(OPENID)
    house.login_elsewhere(OPENID)
    data, _ = house.sealed(OPENID)

    assert refused(house, me, data) == "session_key_stale"

    me = house.join(OPENID)
    data, signed = house.sealed(OPENID)
    assert house.show(me, data, signed)["nickName"] == "微信用户"


def test_wechat_is_asked_after_a_failure_only_and_remembered(
    house: PrivateHouse,
) -> None:
    me = house.join(OPENID)
    data, _ = house.sealed(OPENID)
    house.show(me, data)
    assert house.calls() == 0

    for bad in spoiled(data).values():
        assert refused(house, me, bad) == "decrypt_failed"

    assert house.calls() == 1


def test_failures_at_once_ask_wechat_once(house: PrivateHouse) -> None:
    me = house.join(OPENID)
    bad = SealedData("AAAA", "AAAA")
    house.fault(mode="delay", delay_ms=150)
    told: list[str] = []
    threads = [
        threading.Thread(target=lambda: told.append(refused(house, me, bad)))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert told == ["decrypt_failed"] * 10
    assert house.calls() == 1


@pytest.mark.parametrize("mode", ["stall", "http500", "reset", "half_json", "error"])
def test_a_wechat_that_cannot_say_leaves_it_at_unreadable_data(
    house: PrivateHouse, make_settings: Callable[..., Settings], mode: str
) -> None:
    me = house.join(OPENID)
    house.login_elsewhere(OPENID)
    house.fault(mode=mode)
    private = house.settings.private.model_copy(update={"check_s": 0.3})
    impatient = house.settings.model_copy(update={"private": private})
    house.open_data = OpenDataService(impatient, house.stores, house.gateway)
    began = monotonic()

    assert refused(house, me, SealedData("AAAA", "AAAA")) == "decrypt_failed"
    assert monotonic() - began < 60


def test_a_refusal_takes_its_time_whatever_the_cause(house: PrivateHouse) -> None:
    me = house.join(OPENID)
    data, _ = house.sealed(OPENID)
    private = house.settings.private.model_copy(update={"refusal_ms": 60})
    slow = house.settings.model_copy(update={"private": private})
    house.open_data = OpenDataService(slow, house.stores, house.gateway)
    refused(house, me, SealedData("", ""))

    for bad in spoiled(data).values():
        began = monotonic()
        refused(house, me, bad)
        assert monotonic() - began >= 0.06


def test_no_error_carries_what_was_inside(house: PrivateHouse) -> None:
    me = house.join(OPENID, phone="13800008000")
    data, _ = house.sealed(OPENID, "phone", watermark=None)

    with pytest.raises(KuaidaError) as error:
        house.show(me, data)

    shown = repr(error.value.args) + str(error.value.__cause__)
    context: BaseException | None = error.value
    while context is not None:
        shown += repr(vars(context)) + repr(context.args)
        context = context.__context__
    assert "13800008000" not in shown
    assert "1380000" not in shown
