"""The wiring: apps from the settings, one transport for all, metrics fed."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from models.errors import InvalidInput
from tests.unit.wechat.doubles import (
    MemoryShare,
    MemoryTokens,
    ScriptedTransport,
    says,
    soon,
)
from wechat.errors import CodeInvalid, WeChatLied
from wechat.gateway import Gateway, open_gateway
from wechat.simulator.__main__ import state_of
from wechat.simulator.transport import SimulatedTransport
from wechat.transport import Answer

LOGIN = "/sns/jscode2session"


class Shelf:
    """The part of the stores that the gateway uses."""

    def __init__(self) -> None:
        self.access_tokens = MemoryTokens()
        self.shut_paths = MemoryShare()


def count(errcode: str) -> float:
    labels = {"path": LOGIN, "errcode": errcode}
    return REGISTRY.get_sample_value("kuaida_wechat_calls_total", labels) or 0.0


def scripted(settings, *script) -> Gateway:
    return open_gateway(settings, Shelf(), transport=ScriptedTransport(list(script)))


def test_a_login_of_the_demo_app_travels_through(settings) -> None:
    sim = SimulatedTransport(state_of(settings))
    gateway = open_gateway(settings, Shelf(), transport=sim)
    made = sim.control("POST", "/_sim/users", {"unionid": "u-1"})
    code = sim.control("POST", "/_sim/codes", {"openid": made["openid"]})["code"]

    session = gateway.code2session(gateway.app_ids[0], code, deadline=soon())

    assert (session.openid, session.unionid) == (made["openid"], "u-1")
    gateway.close()


def test_an_unknown_app_is_our_callers_mistake(settings) -> None:
    with pytest.raises(InvalidInput) as caught:
        scripted(settings).code2session("wxnobody", "c", deadline=soon())

    assert caught.value.faults[0].field == "app_id"


def test_calls_are_counted_by_errcode(settings) -> None:
    gateway = scripted(settings, says(errcode=40029), says(errcode=40029))
    before = count("40029")
    for _ in range(2):
        with pytest.raises(CodeInvalid):
            gateway.code2session(gateway.app_ids[0], "c", deadline=soon())

    assert count("40029") == before + 2


def test_an_open_breaker_shows_in_the_gauge(settings) -> None:
    failures = settings.wechat.breaker_failures
    gateway = scripted(settings, *[Answer(500, b"")] * failures)
    for _ in range(failures):
        with pytest.raises(WeChatLied):
            gateway.code2session(gateway.app_ids[0], "c", deadline=soon())

    name = "kuaida_wechat_breaker_open"
    assert REGISTRY.get_sample_value(name, {"path": LOGIN}) == 1
    opened = {"path": LOGIN, "cause": "found"}
    name = "kuaida_wechat_breaker_opened_total"
    assert (REGISTRY.get_sample_value(name, opened) or 0) >= 1


def test_plain_http_to_wechat_itself_is_refused(make_settings) -> None:
    settings = make_settings(WECHAT_API_BASE="http://api.weixin.qq.com")

    with pytest.raises(ValueError, match="https"):
        open_gateway(settings, Shelf())


def test_the_network_is_not_touched_before_the_first_call(settings) -> None:
    gateway = open_gateway(settings, Shelf())

    gateway.close()
