"""The client against the simulated WeChat, and against answers WeChat never gives."""

from __future__ import annotations

import pytest

from tests.unit.wechat.doubles import APP_ID, ScriptedTransport, make_client, says, soon
from wechat.client import SubscribeMessage, WeChatClient
from wechat.errors import (
    CodeInvalid,
    HighRisk,
    RateMinute,
    SessionKeyStale,
    TokenStale,
    UserState,
    WeChatBusy,
    WeChatLied,
    WeChatTimeout,
    WeChatUnreachable,
)
from wechat.simulator.transport import SimulatedTransport
from wechat.transport import Answer

LOGIN = "/sns/jscode2session"
SEND = "/cgi-bin/message/subscribe/send"
KEY = "tiihtNczf5v6AKRyjwEUhQ=="
TEMPLATE = "demo_appointment"

# Answers that come late come at once, by the clock of this process.
pytestmark = pytest.mark.usefixtures("clock")


def code(sim: SimulatedTransport, openid: str, kind: str = "login") -> str:
    made: str = sim.control("POST", "/_sim/codes", {"openid": openid, "kind": kind})[
        "code"
    ]
    return made


def fault(sim: SimulatedTransport, mode: str, **how: object) -> None:
    sim.control("POST", "/_sim/faults", {"path": LOGIN, "mode": mode, **how})


def message(openid: str, **changed: str) -> SubscribeMessage:
    data = {"thing1": "快答", "time2": "2026-01-02 10:00", "thing3": "店里", **changed}
    return SubscribeMessage(openid, TEMPLATE, data)


def grant(sim: SimulatedTransport, openid: str) -> None:
    given = {"openid": openid, "template_id": TEMPLATE, "result": "accept"}
    sim.control("POST", "/_sim/subscribe", given)


def test_a_code_is_worth_the_openid_and_a_session_key(sim, client, openid) -> None:
    session = client.code2session(code(sim, openid), deadline=soon())

    assert session.openid == openid
    assert session.unionid is None
    assert len(session.session_key) == 24
    assert openid not in repr(session)


def test_a_code_is_worth_something_once(sim, client, openid) -> None:
    used = code(sim, openid)
    client.code2session(used, deadline=soon())

    with pytest.raises(CodeInvalid) as caught:
        client.code2session(used, deadline=soon())

    assert caught.value.errcode == 40163


def test_a_busy_wechat_is_asked_once_more(sim, client, openid) -> None:
    fault(sim, "error", times=1)

    session = client.code2session(code(sim, openid), deadline=soon())

    assert session.openid == openid
    assert sim.control("GET", "/_sim/calls")["calls"] == {LOGIN: 2}


def test_a_wechat_that_stays_busy_is_not_asked_for_ever(sim, client, openid) -> None:
    fault(sim, "error")

    with pytest.raises(WeChatBusy):
        client.code2session(code(sim, openid), deadline=soon())

    assert sim.control("GET", "/_sim/calls")["calls"] == {LOGIN: 2}


def test_busy_and_then_used_means_a_new_code_is_needed() -> None:
    transport = ScriptedTransport([says(errcode=-1), says(errcode=40163)])

    with pytest.raises(CodeInvalid):
        make_client(transport).code2session("c", deadline=soon())


def test_no_second_try_when_the_deadline_leaves_no_room_for_it(sim, openid) -> None:
    fault(sim, "error", delay_ms=30)

    with pytest.raises((WeChatBusy, WeChatTimeout)):
        make_client(sim).code2session(code(sim, openid), deadline=soon(30))

    assert sim.control("GET", "/_sim/calls")["calls"] == {LOGIN: 1}


def test_nothing_but_busy_is_repeated(sim, client, openid) -> None:
    fault(sim, "reset", times=1)

    with pytest.raises(WeChatUnreachable):
        client.code2session(code(sim, openid), deadline=soon())

    assert sim.control("GET", "/_sim/calls")["calls"] == {LOGIN: 1}


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ("half_json", WeChatLied),
        ("http500", WeChatLied),
        ("reset", WeChatUnreachable),
        ("accept_then_reset", WeChatUnreachable),
        ("stall", WeChatTimeout),
        ("accept_then_stall", WeChatTimeout),
    ],
)
def test_each_fault_is_its_own_error_inside_the_deadline(
    sim, client, openid, mode, error
) -> None:
    fault(sim, mode)

    with pytest.raises(error):
        client.code2session(code(sim, openid), deadline=soon(60))


@pytest.mark.parametrize(
    "fields",
    [
        {"session_key": KEY},
        {"openid": "", "session_key": KEY},
        {"openid": 17, "session_key": KEY},
        {"openid": "o" * 65, "session_key": KEY},
        {"openid": "o\n1", "session_key": KEY},
        {"openid": "o1"},
        {"openid": "o1", "session_key": "short"},
        {"openid": "o1", "session_key": "A" * 24},
        {"openid": "o1", "session_key": KEY, "unionid": 5},
    ],
)
def test_a_session_of_the_wrong_shape_is_a_lie(fields) -> None:
    with pytest.raises(WeChatLied):
        make_client(ScriptedTransport([says(**fields)])).code2session(
            "c", deadline=soon()
        )


def test_an_empty_unionid_is_none() -> None:
    answer = says(openid="o1", session_key=KEY, unionid="", expires_in=7200)

    session = make_client(ScriptedTransport([answer])).code2session(
        "c", deadline=soon()
    )

    assert session.unionid is None


def test_a_high_risk_user_is_refused(sim, client) -> None:
    risky = sim.control("POST", "/_sim/users", {"openid": "o-risk", "risk_rank": 4})

    with pytest.raises(HighRisk):
        client.code2session(code(sim, risky["openid"]), deadline=soon())


def test_the_hundred_and_first_login_of_a_minute_is_too_many(
    sim, client, openid
) -> None:
    for _ in range(100):
        client.code2session(code(sim, openid), deadline=soon())

    with pytest.raises(RateMinute):
        client.code2session(code(sim, openid), deadline=soon())


def test_a_session_key_is_good_until_the_next_login_replaces_it(
    sim, client, openid
) -> None:
    first = client.code2session(code(sim, openid), deadline=soon()).session_key
    assert client.check_session_key(openid, first, deadline=soon())

    second = client.code2session(code(sim, openid), deadline=soon()).session_key

    assert not client.check_session_key(openid, first, deadline=soon())
    assert client.check_session_key(openid, second, deadline=soon())


def test_a_reset_key_replaces_the_old_one(sim, client, openid) -> None:
    old = client.code2session(code(sim, openid), deadline=soon()).session_key

    new = client.reset_session_key(openid, old, deadline=soon())

    assert client.check_session_key(openid, new, deadline=soon())
    with pytest.raises(SessionKeyStale):
        client.reset_session_key(openid, old, deadline=soon())


def test_a_reset_key_ends_when_the_old_one_would_have(sim, client, openid) -> None:
    old = client.code2session(code(sim, openid), deadline=soon()).session_key
    sim.control("POST", "/_sim/clock", {"advance_s": 200_000})
    new = client.reset_session_key(openid, old, deadline=soon())
    sim.control("POST", "/_sim/clock", {"advance_s": 60_000})

    assert not client.check_session_key(openid, new, deadline=soon())


def test_a_phone_code_is_worth_the_number_of_its_user(sim, client, openid) -> None:
    phone = client.phone_number(code(sim, openid, "phone"), openid, deadline=soon())

    assert (phone.country_code, phone.number) == ("86", "13812348000")
    assert "138" not in repr(phone)


def test_a_phone_code_of_somebody_else_is_refused(sim, client, openid) -> None:
    with pytest.raises(UserState):
        client.phone_number(code(sim, openid, "phone"), "o-thief", deadline=soon())


def test_login_and_phone_codes_do_not_stand_in_for_each_other(
    sim, client, openid
) -> None:
    with pytest.raises(CodeInvalid):
        client.phone_number(code(sim, openid), openid, deadline=soon())
    with pytest.raises(CodeInvalid):
        client.code2session(code(sim, openid, "phone"), deadline=soon())


@pytest.mark.parametrize(
    ("changed", "whole"),
    [
        ({"countryCode": 86}, True),
        ({"watermark": {"appid": "wxother"}}, False),
        ({"watermark": None}, False),
        ({"purePhoneNumber": 138}, False),
        ({"countryCode": "x"}, False),
        ({"countryCode": ""}, False),
        ({"countryCode": "0"}, False),
        ({"countryCode": "8612"}, False),
        ({"countryCode": True}, False),
        ({"purePhoneNumber": "123"}, False),
        ({"purePhoneNumber": "12345"}, True),
        ({"purePhoneNumber": "1" * 13}, True),
        ({"purePhoneNumber": "1" * 14}, False),
        ({"purePhoneNumber": "+8613812348000"}, False),
        ({"purePhoneNumber": "-----"}, False),
        ({"purePhoneNumber": "١٢٣٤٥٦٧"}, False),
    ],
)
def test_a_phone_answer_is_checked_field_by_field(changed, whole) -> None:
    info = {
        "purePhoneNumber": "13812348000",
        "countryCode": "86",
        "watermark": {"appid": APP_ID},
        **changed,
    }
    token = says(access_token="T" * 40, expires_in="7200")
    client = make_client(ScriptedTransport([token, says(errcode=0, phone_info=info)]))
    if whole:
        assert client.phone_number("c", "o", deadline=soon()).country_code == "86"
        return
    with pytest.raises(WeChatLied):
        client.phone_number("c", "o", deadline=soon())


def test_a_message_spends_a_grant_and_returns_an_exact_id(sim, client, openid) -> None:
    grant(sim, openid)

    message_id = client.send_subscribe_message(message(openid), deadline=soon())

    items = sim.control("GET", "/_sim/deliveries")["items"]
    assert [(i["outcome"], str(i["msgid"])) for i in items] == [
        ("delivered", message_id)
    ]
    with pytest.raises(UserState):
        client.send_subscribe_message(message(openid), deadline=soon())


def test_a_message_that_wechat_took_but_did_not_confirm_is_marked_as_sent(
    sim, client, openid
) -> None:
    grant(sim, openid)
    given = {"path": SEND, "mode": "accept_then_reset", "times": 1}
    sim.control("POST", "/_sim/faults", given)

    with pytest.raises(WeChatUnreachable) as caught:
        client.send_subscribe_message(message(openid), deadline=soon())

    assert caught.value.sent
    items = sim.control("GET", "/_sim/deliveries")["items"]
    assert [item["outcome"] for item in items] == ["delivered"]


def test_a_refused_token_is_healed_and_told_so_that_each_call_is_one_try(
    sim, client, openid
) -> None:
    grant(sim, openid)
    client.access_token(deadline=soon())
    sim.control("POST", "/_sim/clock", {"advance_s": 7300})

    with pytest.raises(TokenStale) as caught:
        client.send_subscribe_message(message(openid), deadline=soon())
    assert caught.value.healed
    client.send_subscribe_message(message(openid), deadline=soon())

    outcomes = [i["errcode"] for i in sim.control("GET", "/_sim/deliveries")["items"]]
    assert outcomes == [42001, 0]


def test_a_token_that_nobody_can_heal_is_raised_and_not_called_healed(
    sim, client, openid
) -> None:
    client.access_token(deadline=soon())
    fault(sim, "error", path=SEND, errcode=40001)
    fault(sim, "http500", path="/cgi-bin/stable_token")

    with pytest.raises(TokenStale) as caught:
        client.send_subscribe_message(message(openid), deadline=soon())

    assert not caught.value.healed
    assert sim.control("GET", "/_sim/calls")["calls"][SEND] == 1


def test_no_secret_stands_in_any_error_text(sim: SimulatedTransport) -> None:
    client: WeChatClient = make_client(sim)
    fault(sim, "http500")

    with pytest.raises(WeChatLied) as caught:
        client.code2session("c0de-of-a-person", deadline=soon())

    assert "c0de" not in repr(caught.value)
    assert "s3cret" not in repr(caught.value)
    assert caught.value.path == LOGIN


def test_an_error_without_a_body_is_still_typed() -> None:
    with pytest.raises(WeChatLied):
        make_client(ScriptedTransport([Answer(502, b"")])).code2session(
            "c", deadline=soon()
        )
