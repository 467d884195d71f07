"""From WeChat's errors to ours: what the client is told and what it should do."""

from __future__ import annotations

from config.clock import MINUTE_MS, now_ms
from models.china_time import until_midnight_ms
from models.errors import (
    Conflict,
    Forbidden,
    KuaidaError,
    Limited,
    LoginCodeInvalid,
    Unavailable,
    Upstream,
)
from wechat.errors import (
    CodeInvalid,
    HighRisk,
    PathClosed,
    PoolExhausted,
    RateDay,
    RateMinute,
    SessionKeyStale,
    WeChatError,
    WeChatTimeout,
)


def translated(error: WeChatError) -> KuaidaError:
    """Return the error of the public contract that stands for ``error``."""
    if isinstance(error, PathClosed):
        wait_ms = error.retry_after_ms
        return Upstream(reason="wechat_unavailable", retry_after_ms=wait_ms)
    if isinstance(error, RateMinute):
        # WeChat's minute quota starts anew with the clock's next minute.
        return Limited(retry_after_ms=MINUTE_MS - now_ms() % MINUTE_MS)
    simple: dict[type[WeChatError], KuaidaError] = {
        CodeInvalid: LoginCodeInvalid(),
        HighRisk: Forbidden(reason="high_risk_user"),
        SessionKeyStale: Conflict(reason="session_key_stale"),
        RateDay: Limited(retry_after_ms=until_midnight_ms(now_ms())),
        PoolExhausted: Unavailable(reason="overloaded"),
        WeChatTimeout: Upstream(reason="wechat_timeout"),
    }
    for kind, fault in simple.items():
        if isinstance(error, kind):
            return fault
    return Upstream(str(error))


def was_used_up(error: KuaidaError) -> bool:
    """Whether WeChat refused a code that was good once: then we have exchanged it.

    Nobody else has the app's secret. So it is no failed login; who guesses codes is
    told that they are invalid.
    """
    cause = error.__cause__
    return isinstance(cause, CodeInvalid) and cause.used
