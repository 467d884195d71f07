"""Each way WeChat can fail has one answer of ours."""

from __future__ import annotations

import pytest

from config.clock import now_ms
from models.china_time import until_midnight_ms
from models.errors import Conflict, Forbidden, Limited, LoginCodeInvalid, Upstream
from models.errors import Unavailable as Away
from web.services.wechat_faults import translated
from wechat.errors import (
    ERRCODES,
    BreakerOpen,
    PathFull,
    PoolExhausted,
    WeChatError,
    WeChatLied,
    WeChatTimeout,
    WeChatUnreachable,
    refusal,
)

PATH = "/sns/jscode2session"


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (refusal(PATH, 40029, "invalid code"), LoginCodeInvalid, "login_code_invalid"),
        (
            refusal(PATH, 40163, "code been used"),
            LoginCodeInvalid,
            "login_code_invalid",
        ),
        (refusal(PATH, 40226, "high risk"), Forbidden, "high_risk_user"),
        (refusal(PATH, 87009, "stale"), Conflict, "session_key_stale"),
        (refusal(PATH, 45009, "day"), Limited, "rate_limited"),
        (refusal(PATH, 45011, "minute"), Limited, "rate_limited"),
        (refusal(PATH, -1, "busy"), Upstream, "wechat_failed"),
        (refusal(PATH, 40013, "invalid appid"), Upstream, "wechat_failed"),
        (refusal(PATH, 99999, "new"), Upstream, "wechat_failed"),
        (WeChatLied(PATH, "half"), Upstream, "wechat_failed"),
        (WeChatUnreachable(PATH), Upstream, "wechat_failed"),
        (WeChatTimeout(PATH), Upstream, "wechat_timeout"),
        (PoolExhausted(PATH), Away, "overloaded"),
        (BreakerOpen(PATH, 1500), Upstream, "wechat_unavailable"),
        (PathFull(PATH, 0.5), Upstream, "wechat_unavailable"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_fault_becomes(error: WeChatError, kind: type, reason: str) -> None:
    told = translated(error)

    assert type(told) is kind
    assert told.reason == reason


@pytest.mark.parametrize("errcode", sorted(ERRCODES))
def test_every_known_errcode_has_an_answer(errcode: int) -> None:
    assert translated(refusal(PATH, errcode, "x")).reason


@pytest.mark.usefixtures("clock")
def test_waits_are_told_where_waiting_helps() -> None:
    minute = translated(refusal(PATH, 45011, "")).retry_after_ms
    day = translated(refusal(PATH, 45009, "")).retry_after_ms
    breaker = translated(BreakerOpen(PATH, 1500)).retry_after_ms

    assert minute is not None
    assert 0 < minute <= 60_000
    assert day == until_midnight_ms(now_ms())
    assert breaker == 1500
