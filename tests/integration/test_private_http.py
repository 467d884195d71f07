"""Encrypted data and phone numbers over HTTP, on MariaDB, as a page uses them."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from tests.servers.phone import Phone

if TYPE_CHECKING:
    from tests.servers.http import Answer
    from tests.servers.stack import Stack

CHECK = "/wxa/checksession"
PLAIN = ("encrypted_data", "iv")


@pytest.fixture
def phone(front: Stack) -> Phone:
    person = Phone(front)
    assert person.login().status == 200
    return person


def ask(person: Phone, path: str, body: dict[str, Any], key: str = "") -> Answer:
    """Send what the page got, under an Idempotency-Key if one is given."""
    head = {"Idempotency-Key": key} if key else {}
    token = person.data["access_token"]
    return person.api("POST", path, token=token, body=body, headers=head)


def fresh_key() -> str:
    return secrets.token_hex(8)


def test_data_opens_masked_and_its_kept_answer_is_masked_too(phone: Phone) -> None:
    given = phone.stack.wechat.encrypt(phone.openid)
    key = fresh_key()

    first, second = (ask(phone, "/me/decrypt", given, key) for _ in range(2))

    assert first.data["nickName"] == "微信用户"
    assert phone.openid.encode() not in first.body
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.data == first.data


def test_a_stale_key_is_healed_by_a_login_and_the_same_request_works(
    phone: Phone,
) -> None:
    wechat = phone.stack.wechat
    wechat.login_elsewhere(phone.openid)
    given = wechat.encrypt(phone.openid)
    key = fresh_key()
    for _ in range(2):
        stale = ask(phone, "/me/decrypt", given, key)
        assert (stale.status, stale.reason) == (409, "session_key_stale")
        assert stale.json["action"] == "relogin"

    assert phone.login().status == 200
    again = wechat.encrypt(phone.openid)

    answer = ask(phone, "/me/decrypt", again, key)
    assert answer.data["nickName"] == "微信用户"
    assert ask(phone, "/me/decrypt", again, key).data == answer.data
    other = ask(phone, "/me/decrypt", given, key)
    assert (other.status, other.reason) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("wechat_is", ["remembered", "silent"])
def test_data_that_did_not_open_opens_after_a_login_under_the_same_key(
    phone: Phone, wechat_is: str
) -> None:
    wechat, session_key = phone.stack.wechat, base64.b64encode(bytes(16)).decode()
    wechat.user(openid=phone.openid, session_key=session_key)
    phone.login()
    given = wechat.encrypt(phone.openid)
    # The key of the data is not even the one before any more.
    for _ in range(2):
        phone.login()
    if wechat_is == "remembered":
        assert ask(phone, "/me/decrypt", {"encrypted_data": "", "iv": ""}).status == 422
    else:
        wechat.fault(CHECK, "error", errcode=48001)
    wechat.login_elsewhere(phone.openid)
    key = fresh_key()

    refused = ask(phone, "/me/decrypt", given, key)

    wechat.heal()
    assert (refused.status, refused.reason) == (422, "decrypt_failed")
    wechat.user(openid=phone.openid, session_key=session_key)
    phone.login()
    answer = ask(phone, "/me/decrypt", given, key)
    assert (answer.status, answer.data["nickName"]) == (200, "微信用户")
    assert "Idempotent-Replayed" not in answer.headers


def test_a_kept_answer_outlives_the_key_of_its_data(phone: Phone) -> None:
    given, key = phone.stack.wechat.encrypt(phone.openid), fresh_key()
    first = ask(phone, "/me/decrypt", given, key)
    for _ in range(2):
        phone.login()
    assert ask(phone, "/me/decrypt", given).reason == "decrypt_failed"

    again = ask(phone, "/me/decrypt", given, key)

    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.data == first.data


def test_whatever_is_wrong_with_data_is_one_answer(phone: Phone) -> None:
    given = phone.stack.wechat.encrypt(phone.openid)
    text, iv = given["encrypted_data"], given["iv"]
    bad = [("!" + text[1:], iv), ("", iv), (text[:-8], iv), (text, ""), (text, "AAAA")]
    bad += [(text[:-24] + "A" * 24, iv), ("\ud7ff", iv), (text, "A" * 22 + "==")]

    told = set()
    for pair in bad:
        answer = ask(phone, "/me/decrypt", dict(zip(PLAIN, pair, strict=True)))
        body = answer.json
        del body["request_id"], body["server_time"]
        told.add((answer.status, str(sorted(body.items()))))

    assert len(told) == 1
    assert next(iter(told))[0] == 422


def test_a_bound_number_shows_in_the_profile_and_is_an_event(phone: Phone) -> None:
    token = phone.data["access_token"]
    assert phone.me().data["phone_masked"] is None
    cursor = phone.api("GET", "/events", token=token).data["cursor"]
    code = phone.stack.wechat.code(phone.openid, "phone")

    bound = ask(phone, "/me/phone", {"code": code}, fresh_key())

    assert bound.data["phone_masked"].startswith("138****")
    assert phone.me().data["phone_masked"] == bound.data["phone_masked"]
    events = phone.api("GET", f"/events?cursor={cursor}", token=token).data["events"]
    assert [event["type"] for event in events] == ["phone.bound"]
    assert ask(phone, "/me/phone", {"code": code}).data == bound.data


def test_a_second_account_of_a_number_is_told_of_the_conflict(phone: Phone) -> None:
    number = "137" + str(secrets.randbelow(10**8)).zfill(8)
    other = Phone(phone.stack)
    assert other.login().status == 200
    wechat = phone.stack.wechat
    for person in (phone, other):
        wechat.user(openid=person.openid, phone=number)
    given = wechat.encrypt(phone.openid, "phone")
    data = {name: given[name] for name in PLAIN}
    assert ask(phone, "/me/phone", data).data["phone_masked"] == f"137****{number[-4:]}"

    refused = ask(other, "/me/phone", {"code": wechat.code(other.openid, "phone")})

    assert (refused.status, refused.reason) == (409, "conflict")
    assert refused.json["action"] == "none"
    assert other.me().data["phone_masked"] is None
