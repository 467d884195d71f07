"""The control API: its shapes, its clear refusals, and the faults it scripts."""

from __future__ import annotations

import orjson
import pytest

from config.clock import now_ms
from tests.unit.wechat.doubles import APP_ID, SECRET, soon
from wechat.crypto import raw_data_matches
from wechat.errors import WeChatTimeout, WeChatUnreachable
from wechat.open_data import SealedData, open_sealed
from wechat.simulator.control import control
from wechat.simulator.wire import Request

LOGIN = "/sns/jscode2session"

# Answers that come late come at once, by the clock of this process.
pytestmark = pytest.mark.usefixtures("clock")


def login(sim, openid):
    code = sim.control("POST", "/_sim/codes", {"openid": openid})["code"]
    query = {"appid": APP_ID, "secret": SECRET, "js_code": code}
    query["grant_type"] = "authorization_code"
    answer = sim.request("GET", LOGIN, query=query, body=None, deadline=soon(80))
    return orjson.loads(answer.body)


def test_a_user_is_made_with_what_is_given_and_keeps_it(sim) -> None:
    given = {"openid": "o-1", "unionid": "u-1", "nickname": "小明", "phone": "139"}

    made = sim.control("POST", "/_sim/users", given)
    again = sim.control("POST", "/_sim/users", {"openid": "o-1"})

    assert made == again == {"openid": "o-1", "unionid": "u-1", "phone": "139"}


def test_many_codes_come_in_one_call(sim, openid) -> None:
    codes = sim.control("POST", "/_sim/codes", {"openid": openid, "count": 100})

    assert len(set(codes["codes"])) == 100


@pytest.mark.parametrize("kind", ["user_info", "phone", "werun", "group"])
def test_encrypted_data_opens_with_the_present_key_only(sim, openid, kind) -> None:
    key = login(sim, openid)["session_key"]
    made = sim.control("POST", "/_sim/encrypt", {"openid": openid, "kind": kind})

    found = open_sealed(SealedData(made["encrypted_data"], made["iv"]), [key])

    assert found is not None
    assert found.content["watermark"]["appid"] == APP_ID
    assert raw_data_matches(made["raw_data"], key, made["signature"])
    login(sim, openid)
    newer = sim.control("POST", "/_sim/encrypt", {"openid": openid, "kind": kind})
    assert open_sealed(SealedData(newer["encrypted_data"], newer["iv"]), [key]) is None


def test_overrides_replace_and_remove_fields(sim, openid) -> None:
    key = login(sim, openid)["session_key"]
    mark = {"appid": APP_ID, "timestamp": 1}
    overrides = {"nickName": "别名", "gender": None, "watermark": mark}
    given = {"openid": openid, "kind": "user_info", "overrides": overrides}
    made = sim.control("POST", "/_sim/encrypt", given)

    found = open_sealed(SealedData(made["encrypted_data"], made["iv"]), [key])

    assert found is not None
    assert found.content["nickName"] == "别名"
    assert found.content["watermark"] == mark
    assert "gender" not in found.content


def test_data_before_the_first_login_cannot_be_encrypted(sim, openid) -> None:
    with pytest.raises(ValueError, match="log in"):
        sim.control("POST", "/_sim/encrypt", {"openid": openid, "kind": "phone"})


@pytest.mark.parametrize(
    ("path", "given", "words"),
    [
        ("users", {"opneid": "x"}, "unknown field 'opneid'"),
        ("users", {"openid": ""}, "1 to 64"),
        ("users", {"openid": 5}, "1 to 64"),
        ("users", {"risk_rank": 5}, "0 to 4"),
        ("users", {"risk_rank": True}, "0 to 4"),
        ("users", {"session_key": "short"}, "16 bytes"),
        ("users", {"session_key": "%%"}, "16 bytes"),
        ("users", {"app_id": "wxnobody"}, "one of"),
        ("codes", {}, "openid is missing"),
        ("codes", {"openid": "o-nobody"}, "unknown openid"),
        ("codes", {"openid": "KNOWN", "kind": "both"}, "login, phone"),
        ("encrypt", {"openid": "KNOWN", "overrides": [1]}, "object"),
        ("subscribe", {"openid": "KNOWN", "template_id": "x"}, "unknown template_id"),
        (
            "subscribe",
            {"openid": "KNOWN", "template_id": "demo_appointment"},
            "accept, reject or ban",
        ),
        ("faults", {"mode": "stall"}, "path is missing"),
        ("faults", {"path": "sns", "mode": "stall"}, "WeChat path"),
        ("faults", {"path": "/_sim/users", "mode": "stall"}, "WeChat path"),
        ("faults", {"path": LOGIN}, "mode must be"),
        ("faults", {"path": LOGIN, "mode": "explode"}, "one of"),
        ("faults", {"path": LOGIN, "mode": "stall", "times": 0}, "at least 1"),
        ("faults", {"path": LOGIN, "mode": "delay", "delay_ms": -1}, "at least 0"),
        ("faults", {"path": LOGIN, "mode": "error", "errcode": "x"}, "whole number"),
        ("clock", {}, "advance_s is missing"),
        ("clock", {"advance_s": -1}, "from 0"),
        ("clock", {"advance_s": "1"}, "number"),
        ("rules", {"rotate": 1}, "unknown field"),
        ("rules", {"refuse_escapes": "yes"}, "wrong type"),
        ("reset", {"hard": True}, "expected nothing"),
    ],
)
def test_wrong_control_input_is_a_400_in_clear_words(
    sim, openid, path, given, words
) -> None:
    given = {k: openid if v == "KNOWN" else v for k, v in given.items()}
    request = Request("POST", f"/_sim/{path}", {}, orjson.dumps(given))

    reply = control(sim.state, request)

    assert reply.status == 400
    assert words in orjson.loads(reply.body)["error"]


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_a_control_body_that_is_no_object_is_a_400(sim, body) -> None:
    assert control(sim.state, Request("POST", "/_sim/users", {}, body)).status == 400


def test_unknown_controls_and_verbs_are_told_apart(sim) -> None:
    assert control(sim.state, Request("GET", "/_sim/nothing", {}, b"")).status == 404
    assert control(sim.state, Request("GET", "/_sim/users", {}, b"")).status == 405


def test_a_bad_since_in_the_query_is_a_400(sim) -> None:
    query = {"since": "yesterday"}

    reply = control(sim.state, Request("GET", "/_sim/deliveries", query, b""))

    assert reply.status == 400


def test_reset_empties_the_world_and_keeps_the_apps(sim, openid) -> None:
    login(sim, openid)
    sim.control("POST", "/_sim/clock", {"advance_s": 1000})
    sim.control("POST", "/_sim/faults", {"path": LOGIN, "mode": "stall"})

    assert sim.control("POST", "/_sim/reset") == {"ok": True}

    assert sim.control("GET", "/_sim/calls") == {"calls": {}}
    assert not sim.state.users
    assert sim.state.offset_ms == 0
    assert login(sim, sim.control("POST", "/_sim/users", {})["openid"])["openid"]


def test_a_fault_strikes_its_times_and_is_gone(sim, openid) -> None:
    given = {"path": LOGIN, "mode": "error", "errcode": 45011, "times": 2}
    sim.control("POST", "/_sim/faults", given)

    codes = [login(sim, openid).get("errcode", 0) for _ in range(4)]

    assert codes == [45011, 45011, 0, 0]


def test_every_third_call_can_be_the_one_that_fails(sim, openid) -> None:
    given = {"path": LOGIN, "mode": "error", "every": 3}
    sim.control("POST", "/_sim/faults", given)

    codes = [login(sim, openid).get("errcode", 0) for _ in range(6)]

    assert codes == [0, 0, -1, 0, 0, -1]


def test_faults_are_matched_exactly_and_deleted_one_by_one_or_all(sim, openid) -> None:
    kept = {"path": LOGIN, "mode": "error", "errcode": 45009}
    first = sim.control("POST", "/_sim/faults", {**kept, "errcode": 45011})["id"]
    sim.control("POST", "/_sim/faults", kept)
    sim.control("POST", "/_sim/faults", {"path": LOGIN + "/", "mode": "stall"})
    assert login(sim, openid)["errcode"] == 45011
    sim.control("DELETE", "/_sim/faults", {"id": first})
    assert login(sim, openid)["errcode"] == 45009

    assert sim.control("DELETE", "/_sim/faults") == {"ok": True}

    assert login(sim, openid)["openid"] == openid


@pytest.mark.parametrize(
    ("mode", "error", "used"),
    [
        ("reset", WeChatUnreachable, False),
        ("stall", WeChatTimeout, False),
        ("accept_then_reset", WeChatUnreachable, True),
        ("accept_then_stall", WeChatTimeout, True),
    ],
)
def test_only_the_accepting_faults_let_the_call_take_effect(
    sim, openid, mode, error, used
) -> None:
    sim.control("POST", "/_sim/faults", {"path": LOGIN, "mode": mode})

    with pytest.raises(error):
        login(sim, openid)

    assert [code.used for code in sim.state.codes.values()] == [used]


def test_a_delayed_call_takes_effect_even_when_nobody_waits(sim, openid) -> None:
    given = {"path": LOGIN, "mode": "delay", "delay_ms": 200}
    sim.control("POST", "/_sim/faults", given)

    with pytest.raises(WeChatTimeout):
        login(sim, openid)

    assert [code.used for code in sim.state.codes.values()] == [True]


def test_deliveries_are_found_by_user_template_and_time(sim, openid) -> None:
    body = {"touser": openid, "template_id": "t-1", "data": {}}
    for raw in (orjson.dumps(body), b"not json"):
        sim.request(
            "POST",
            "/cgi-bin/message/subscribe/send",
            query={},
            body=raw,
            deadline=soon(),
        )

    everything = sim.control("GET", "/_sim/deliveries")["items"]
    query = {"openid": openid, "template_id": "t-1", "since": now_ms() - 60_000}
    mine = sim.control("GET", "/_sim/deliveries", query)["items"]
    later = sim.control("GET", "/_sim/deliveries", {"since": now_ms() + 60_000})

    assert [item["body"] for item in everything] == [body, "not json"]
    assert [(i["outcome"], i["errcode"], i["msgid"]) for i in mine] == [
        ("refused", 41001, None)
    ]
    assert later == {"items": []}


def test_a_message_lost_in_a_fault_has_arrived_all_the_same(sim, openid) -> None:
    path = "/cgi-bin/message/subscribe/send"
    sim.control("POST", "/_sim/faults", {"path": path, "mode": "reset"})
    body = orjson.dumps({"touser": openid, "template_id": "t-1"})

    with pytest.raises(WeChatUnreachable):
        sim.request("POST", path, query={}, body=body, deadline=soon())

    items = sim.control("GET", "/_sim/deliveries")["items"]
    assert [(i["openid"], i["outcome"]) for i in items] == [(openid, "dropped")]
    assert sim.control("GET", "/_sim/calls")["calls"] == {path: 1}
    assert not sim.state.sending
