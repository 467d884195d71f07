"""The simulated WeChat refuses what WeChat refuses, with WeChat's own codes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.unit.wechat.doubles import APP_ID, SECRET, soon
from wechat.simulator.transport import SimulatedTransport

LOGIN = "/sns/jscode2session"
STABLE = "/cgi-bin/stable_token"
SEND = "/cgi-bin/message/subscribe/send"
PHONE = "/wxa/business/getuserphonenumber"
TEMPLATE = "demo_appointment"
DATA = {
    "thing1": {"value": "快答"},
    "time2": {"value": "2026-01-02 10:00"},
    "thing3": {"value": "店里"},
}


class Phone:
    """Speaks to the simulator without the client's care."""

    def __init__(self, sim: SimulatedTransport) -> None:
        self.sim = sim

    def get(self, path: str, **query: str) -> dict[str, Any]:
        answer = self.sim.request("GET", path, query=query, body=None, deadline=soon())
        assert answer.status == 200
        found: dict[str, Any] = orjson.loads(answer.body)
        return found

    def post(self, path: str, body: object, **query: str) -> dict[str, Any]:
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        answer = self.sim.request("POST", path, query=query, body=raw, deadline=soon())
        found: dict[str, Any] = orjson.loads(answer.body)
        return found

    def login(self, code: str, **changed: str) -> dict[str, Any]:
        query = {"appid": APP_ID, "secret": SECRET, "js_code": code}
        query |= {"grant_type": "authorization_code", **changed}
        return self.get(LOGIN, **{k: v for k, v in query.items() if v})

    def stable(self, **changed: object) -> dict[str, Any]:
        body = {"grant_type": "client_credential", "appid": APP_ID, "secret": SECRET}
        return self.post(STABLE, {**body, **changed})

    def classic(self) -> dict[str, Any]:
        query = {"grant_type": "client_credential", "appid": APP_ID, "secret": SECRET}
        return self.get("/cgi-bin/token", **query)

    def with_token(self, token: str) -> int:
        found = self.get("/wxaapi/newtmpl/gettemplate", access_token=token)
        return int(found["errcode"])

    def send(self, openid: str, **changed: object) -> dict[str, Any]:
        body = {"touser": openid, "template_id": TEMPLATE, "data": DATA, **changed}
        token = self.stable()["access_token"]
        sent = {k: v for k, v in body.items() if v is not None}
        return self.post(SEND, sent, access_token=token)

    def code(self, openid: str, kind: str = "login") -> str:
        given = {"openid": openid, "kind": kind}
        made: str = self.sim.control("POST", "/_sim/codes", given)["code"]
        return made

    def advance(self, seconds: float) -> None:
        self.sim.control("POST", "/_sim/clock", {"advance_s": seconds})

    def accept(self, openid: str, **how: object) -> None:
        given = {"openid": openid, "template_id": TEMPLATE, "result": "accept", **how}
        self.sim.control("POST", "/_sim/subscribe", given)


@pytest.fixture
def phone(sim) -> Phone:
    return Phone(sim)


@pytest.mark.parametrize(
    ("changed", "errcode"),
    [
        ({"appid": ""}, 41002),
        ({"appid": "wxnobody"}, 40013),
        ({"secret": ""}, 41004),
        ({"secret": "wrong"}, 40125),
        ({"grant_type": "x"}, 40002),
        ({"js_code": ""}, 41008),
        ({"appid": "wxother", "secret": "other-secret"}, 40029),
    ],
)
def test_a_login_with_a_wrong_part_has_its_code(phone, openid, changed, errcode):
    found = phone.login(phone.code(openid), **changed)

    assert found["errcode"] == errcode
    assert "rid: " in found["errmsg"]


def test_a_code_lives_five_minutes(phone, openid) -> None:
    early, late = phone.code(openid), phone.code(openid)
    phone.advance(299)
    assert "openid" in phone.login(early)
    phone.advance(2)

    assert phone.login(late)["errcode"] == 40029


def test_an_unknown_code_and_a_used_one_differ(phone, openid) -> None:
    code = phone.code(openid)
    phone.login(code)

    assert phone.login(code)["errcode"] == 40163
    assert phone.login("0" * 32)["errcode"] == 40029


def test_old_codes_are_forgotten(phone, sim, openid) -> None:
    for _ in range(50):
        phone.code(openid)
    phone.advance(301)
    phone.code(openid)

    assert len(sim.state.codes) == 1


def test_a_login_rotates_the_key_unless_told_not_to(phone, sim, openid) -> None:
    keys = {phone.login(phone.code(openid))["session_key"] for _ in range(3)}
    assert len(keys) == 3
    sim.control("POST", "/_sim/rules", {"rotate_chance": 0})

    keys = {phone.login(phone.code(openid))["session_key"] for _ in range(3)}

    assert len(keys) == 1


def test_the_next_key_of_a_user_can_be_fixed(phone, sim, openid) -> None:
    key = "tiihtNczf5v6AKRyjwEUhQ=="
    sim.control("POST", "/_sim/users", {"openid": openid, "session_key": key})

    assert phone.login(phone.code(openid))["session_key"] == key
    assert phone.login(phone.code(openid))["session_key"] != key


def test_a_session_key_is_gone_after_its_life(phone, sim, openid) -> None:
    sim.control("POST", "/_sim/rules", {"rotate_chance": 0})
    first = phone.login(phone.code(openid))["session_key"]
    phone.advance(259_201)

    assert phone.login(phone.code(openid))["session_key"] != first


@pytest.mark.parametrize(
    ("query", "errcode"),
    [
        ({}, 40097),
        ({"openid": "o-nobody", "signature": "x"}, 40003),
        ({"openid": "KNOWN", "signature": "x"}, 87008),
        ({"openid": "KNOWN", "signature": "x", "sig_method": "hmac_sha256"}, 87007),
    ],
)
def test_a_session_check_with_a_wrong_part_has_its_code(
    phone, openid, query, errcode
) -> None:
    token = phone.stable()["access_token"]
    query = {k: openid if v == "KNOWN" else v for k, v in query.items()}

    found = phone.get("/wxa/checksession", access_token=token, **query)

    assert found["errcode"] == errcode


def test_the_stable_token_stays_and_its_life_falls(phone) -> None:
    first = phone.stable()
    phone.advance(1000)
    second = phone.stable()

    assert second["access_token"] == first["access_token"]
    assert first["expires_in"] == 7200
    assert second["expires_in"] in {6199, 6200}


def test_the_stable_token_renews_itself_near_the_end_and_both_work(phone) -> None:
    first = phone.stable()["access_token"]
    phone.advance(6950)
    second = phone.stable()["access_token"]

    assert second != first
    assert phone.with_token(first) == phone.with_token(second) == 0
    phone.advance(300)
    assert phone.with_token(first) == 42001
    assert phone.with_token(second) == 0


def test_a_forced_refresh_kills_the_old_token_at_once(phone) -> None:
    old = phone.stable()["access_token"]
    new = phone.stable(force_refresh=True)["access_token"]

    assert phone.with_token(old) == 40001
    assert phone.with_token(new) == 0


def test_forced_refreshes_stand_30_seconds_apart_and_20_a_day(phone) -> None:
    phone.stable(force_refresh=True)
    assert phone.stable(force_refresh=True)["errcode"] == 45011
    for _ in range(19):
        phone.advance(31)
        assert "access_token" in phone.stable(force_refresh=True)
    phone.advance(31)

    assert phone.stable(force_refresh=True)["errcode"] == 45009
    phone.advance(86_400)
    assert "access_token" in phone.stable(force_refresh=True)


def test_classic_and_stable_tokens_do_not_disturb_each_other(phone) -> None:
    stable = phone.stable()["access_token"]
    first, second = phone.classic()["access_token"], phone.classic()["access_token"]
    phone.stable(force_refresh=True)

    assert phone.with_token(stable) == 40001
    assert phone.with_token(first) == phone.with_token(second) == 0
    phone.advance(301)
    assert phone.with_token(first) == 40001
    assert phone.with_token(second) == 0


@pytest.mark.parametrize(
    ("token", "errcode"),
    [("", 41001), ("!", 40014), ("87_" + "x" * 60, 40001)],
)
def test_a_token_that_is_none_has_its_code(phone, token, errcode) -> None:
    assert phone.with_token(token) == errcode


def test_the_token_call_checks_the_secret_and_the_verb(phone) -> None:
    assert phone.stable(secret="wrong")["errcode"] == 40125
    assert phone.stable(appid="wxnobody")["errcode"] == 40013
    assert phone.stable(grant_type="x")["errcode"] == 40002
    assert phone.get(STABLE)["errcode"] == 43002
    assert phone.post(STABLE, b"")["errcode"] == 44002
    assert phone.post(STABLE, b"{")["errcode"] == 47001


def test_the_classic_token_has_a_daily_quota(phone) -> None:
    for _ in range(2000):
        phone.classic()

    assert phone.classic()["errcode"] == 45009


def test_a_phone_code_is_single_use_and_bound(phone, openid) -> None:
    token = phone.stable()["access_token"]
    code = phone.code(openid, "phone")
    body = {"code": code, "openid": openid}
    other = phone.post(PHONE, {**body, "openid": "o-else"}, access_token=token)
    first = phone.post(PHONE, body, access_token=token)
    again = phone.post(PHONE, body, access_token=token)

    assert other["errcode"] == 40003
    assert first["phone_info"]["purePhoneNumber"] == "13812348000"
    assert first["phone_info"]["watermark"]["appid"] == APP_ID
    assert again["errcode"] == 40029


def test_a_phone_code_of_another_app_is_40013(phone, sim) -> None:
    given = {"openid": "o-else", "app_id": "wxother"}
    sim.control("POST", "/_sim/users", given)
    token = phone.stable()["access_token"]

    body = {"code": phone.code("o-else", "phone")}

    assert phone.post(PHONE, body, access_token=token)["errcode"] == 40013


@pytest.mark.parametrize(
    ("changed", "errcode"),
    [
        ({"touser": "o-nobody"}, 40003),
        ({"touser": None}, 40003),
        ({"template_id": "none"}, 40037),
        ({"template_id": None}, 40037),
        ({"data": {**DATA, "thing1": {"value": "x" * 21}}}, 47003),
        ({"data": None}, 47003),
        ({"page": "/bad page"}, 41030),
        ({"lang": "xx"}, 40097),
        ({"miniprogram_state": "release"}, 40097),
    ],
)
def test_a_message_with_a_wrong_part_has_its_code_and_spends_no_grant(
    phone, openid, changed, errcode
) -> None:
    phone.accept(openid)

    assert phone.send(openid, **changed)["errcode"] == errcode
    assert phone.send(openid)["errcode"] == 0


def test_each_accept_is_one_message(phone, openid) -> None:
    phone.accept(openid)
    phone.accept(openid)

    codes = [phone.send(openid)["errcode"] for _ in range(3)]

    assert codes == [0, 0, 43101]


def test_a_long_term_grant_is_not_spent_until_it_is_taken_back(phone, openid) -> None:
    phone.accept(openid, long_term=True)
    assert [phone.send(openid)["errcode"] for _ in range(3)] == [0, 0, 0]

    phone.accept(openid, result="reject", settings=True)

    assert phone.send(openid)["errcode"] == 43101


def test_a_page_outside_the_released_ones_is_41030(phone, sim, openid) -> None:
    sim.control("POST", "/_sim/rules", {"pages": ["pages/a"]})
    phone.accept(openid)

    assert phone.send(openid, page="pages/b")["errcode"] == 41030
    assert phone.send(openid, page="pages/a?x=1")["errcode"] == 0


def test_escaped_chinese_is_refused_unless_switched_off(phone, sim, openid) -> None:
    phone.accept(openid)
    token = phone.stable()["access_token"]
    body = {"touser": openid, "template_id": TEMPLATE, "data": DATA}
    escaped = orjson.dumps(body).replace("快".encode(), b"\\u5feb")
    assert phone.post(SEND, escaped, access_token=token)["errcode"] == 47001

    sim.control("POST", "/_sim/rules", {"refuse_escapes": False})

    assert phone.post(SEND, escaped, access_token=token)["errcode"] == 0


def test_two_messages_to_one_user_at_the_same_moment_are_one_too_many(
    phone, sim, openid
) -> None:
    phone.accept(openid)
    sim.state.sending[openid] += 1

    assert phone.send(openid)["errcode"] == 43108


def test_an_accepted_message_promises_its_event(phone, sim, openid) -> None:
    phone.accept(openid)
    message_id = phone.send(openid)["msgid"]

    popup, sent = sim.state.events

    assert message_id > 2**53
    assert popup.message["List"]["SubscribeStatusString"] == "accept"
    assert sent.message["Event"] == "subscribe_msg_sent_event"
    assert sent.message["List"]["MsgID"] == str(message_id)
    assert sent.message["FromUserName"] == openid


def test_the_templates_are_listed_with_their_legal_keys(phone) -> None:
    token = phone.stable()["access_token"]
    found = phone.get("/wxaapi/newtmpl/gettemplate", access_token=token)["data"]

    row = next(row for row in found if row["priTmplId"] == TEMPLATE)
    assert "{{thing1.DATA}}" in row["content"]


def test_an_unknown_path_is_a_404_page(sim) -> None:
    answer = sim.request("GET", "/nowhere", query={}, body=None, deadline=soon())

    assert answer.status == 404
    assert answer.body.startswith(b"<html>")
