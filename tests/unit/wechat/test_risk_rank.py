"""WeChat's opinion of a user: asked with little, believed only in its own shape."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.unit.wechat.doubles import APP_ID, ScriptedTransport, make_client, says, soon
from wechat.client import RISK_RANK, RiskQuestion, WeChatClient
from wechat.errors import (
    ConfigError,
    RateDay,
    RateMinute,
    UserState,
    WeChatBusy,
    WeChatLied,
    WeChatRefused,
)
from wechat.simulator.transport import SimulatedTransport

TOKEN = says(access_token="t", expires_in=7200)
ADDRESS = "203.0.113.9"


def arrive(sim: SimulatedTransport, client: WeChatClient, **user: object) -> str:
    """Make a user who has just logged in and return the openid."""
    openid: str = sim.control("POST", "/_sim/users", user)["openid"]
    code = sim.control("POST", "/_sim/codes", {"openid": openid})["code"]
    client.code2session(code, deadline=soon())
    return openid


def ask(client: WeChatClient, openid: str, **how: Any) -> int:
    question = RiskQuestion(openid, ADDRESS, **how)
    return client.risk_rank(question, deadline=soon())


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_the_rank_is_what_wechat_holds(sim, client, rank) -> None:
    assert ask(client, arrive(sim, client, risk_rank=rank)) == rank


def test_the_highest_rank_is_told_of_somebody_already_here(sim, client) -> None:
    openid = arrive(sim, client)
    sim.control("POST", "/_sim/users", {"openid": openid, "risk_rank": 4})

    assert ask(client, openid) == 4


def test_a_user_who_has_been_away_is_not_judged(sim, client) -> None:
    openid = arrive(sim, client)
    sim.control("POST", "/_sim/clock", {"advance_s": 2 * 3600 + 1})

    with pytest.raises(UserState) as caught:
        ask(client, openid)

    assert caught.value.errcode == 61010


def test_only_what_is_needed_is_told() -> None:
    transport = ScriptedTransport([TOKEN, says(risk_rank=2)])

    assert ask(make_client(transport), "o-1", trial=True) == 2

    asked = transport.sent[-1]
    assert asked.body is not None
    assert (asked.path, dict(asked.query)) == (RISK_RANK, {"access_token": "t"})
    assert orjson.loads(asked.body) == {
        "appid": APP_ID,
        "openid": "o-1",
        "scene": 1,
        "client_ip": ADDRESS,
        "is_test": True,
    }


@pytest.mark.parametrize("rank", [None, "2", True, -1, 5, 2.0])
def test_a_rank_that_is_none_is_not_believed(rank: object) -> None:
    transport = ScriptedTransport([TOKEN, says(errcode=0, risk_rank=rank)])

    with pytest.raises(WeChatLied, match="risk_rank"):
        ask(make_client(transport), "o-1")


@pytest.mark.parametrize(
    ("errcode", "error"),
    [
        (48001, ConfigError),
        (40129, ConfigError),
        (61010, UserState),
        (43104, UserState),
        (61080, WeChatBusy),
        (61081, RateMinute),
        (9410009, RateDay),
    ],
)
def test_each_refusal_says_whether_asking_again_helps(
    errcode: int, error: type[WeChatRefused]
) -> None:
    transport = ScriptedTransport([TOKEN, says(errcode=errcode)])

    with pytest.raises(error) as caught:
        ask(make_client(transport), "o-1")

    assert caught.value.path == RISK_RANK


def test_the_question_shows_nobody(sim, client) -> None:
    shown = repr(RiskQuestion("o-secret", ADDRESS))

    assert "o-secret" not in shown
    assert ADDRESS not in shown


@pytest.mark.parametrize(
    ("changed", "errcode"),
    [
        ({"appid": "wxother"}, 40013),
        ({"scene": 3}, 40129),
        ({"scene": None}, 40129),
        ({"client_ip": "here"}, 40097),
        ({"client_ip": None}, 47001),
        ({"openid": "o-nobody"}, 43104),
    ],
)
def test_the_simulator_refuses_what_wechat_refuses(
    sim, client, changed, errcode
) -> None:
    openid = arrive(sim, client)
    token = client.access_token(deadline=soon())
    body = {"appid": APP_ID, "openid": openid, "scene": 1, "client_ip": ADDRESS}
    sent = {k: v for k, v in (body | changed).items() if v is not None}

    answer = sim.request(
        "POST",
        RISK_RANK,
        query={"access_token": token},
        body=orjson.dumps(sent),
        deadline=soon(),
    )

    assert orjson.loads(answer.body)["errcode"] == errcode
