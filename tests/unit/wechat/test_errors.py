"""The errcode table: every code has its class, and every class its retry."""

from __future__ import annotations

import pytest

from wechat.errors import (
    ERRCODES,
    BreakerOpen,
    CodeInvalid,
    ConfigError,
    RateDay,
    RateMinute,
    Retry,
    TokenStale,
    UserState,
    WeChatBusy,
    WeChatRefused,
    refusal,
)


@pytest.mark.parametrize(
    ("errcode", "kind", "retry"),
    [
        (-1, WeChatBusy, Retry.TRANSIENT),
        (40029, CodeInvalid, Retry.RELOGIN),
        (40163, CodeInvalid, Retry.RELOGIN),
        (42001, TokenStale, Retry.TOKEN),
        (45011, RateMinute, Retry.RATE_MINUTE),
        (45009, RateDay, Retry.RATE_DAY),
        (43101, UserState, Retry.USER_STATE),
        (40125, ConfigError, Retry.CONFIG),
    ],
)
def test_an_errcode_has_the_class_and_retry_of_the_table(errcode, kind, retry) -> None:
    error = refusal("/p", errcode, "words")

    assert type(error) is kind
    assert error.retry is retry
    assert error.errcode == errcode
    assert error.label == str(errcode)


def test_an_unknown_errcode_is_a_plain_refusal_with_a_bounded_label() -> None:
    error = refusal("/p", 123456, "new")

    assert type(error) is WeChatRefused
    assert error.label == "other"


def test_every_code_of_the_table_makes_a_refusal() -> None:
    assert all(issubclass(kind, WeChatRefused) for kind in ERRCODES.values())


def test_an_open_breaker_says_that_nothing_was_sent_and_how_long_to_wait() -> None:
    error = BreakerOpen("/p", 1500)

    assert error.retry_after_ms == 1500
    assert error.sent is False
