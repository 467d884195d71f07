"""The table of outcomes: again only what is known to have reached nobody."""

from __future__ import annotations

import re

import pytest

from models.notification_states import Outcome
from tasks.send_outcomes import BUSY_REPEATS, after_waiting, outcome_of
from wechat.client import SEND_SUBSCRIBE as SEND
from wechat.errors import (
    ERRCODES,
    BreakerOpen,
    PoolExhausted,
    Retry,
    WeChatError,
    WeChatLied,
    WeChatTimeout,
    WeChatUnreachable,
    refusal,
)

TOKEN = "/cgi-bin/stable_token"
AGAIN = {Retry.TRANSIENT, Retry.TOKEN, Retry.RATE_MINUTE, Retry.RATE_DAY}


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (WeChatTimeout(SEND), "unknown"),
        (WeChatUnreachable(SEND), "unknown"),
        (WeChatLied(SEND, "HTTP 500"), "unknown"),
        (WeChatTimeout(SEND, sent=False), "put_off"),
        (WeChatUnreachable(SEND, sent=False), "put_off"),
        (PoolExhausted(SEND, sent=False), "put_off"),
        (BreakerOpen(SEND, 100), "put_off"),
        (WeChatTimeout(TOKEN), "put_off"),
        (WeChatLied(TOKEN), "put_off"),
        (refusal(TOKEN, -1, ""), "put_off"),
        (refusal(TOKEN, 40125, ""), "failed"),
        (refusal(SEND, 12345, ""), "failed"),
    ],
    ids=lambda value: f"{type(value).__name__} {value}",
)
def test_faults(error: WeChatError, outcome: str) -> None:
    assert outcome_of(error, busy_answers=0).name == outcome


@pytest.mark.parametrize("errcode", sorted(ERRCODES))
def test_every_known_refusal_is_settled(errcode: int) -> None:
    error = refusal(SEND, errcode, "")

    outcome = outcome_of(error, busy_answers=0)

    assert outcome.errcode == errcode
    assert outcome.name == ("put_off" if error.retry in AGAIN else "failed")


@pytest.mark.parametrize(
    ("word", "errcodes"),
    [
        ("wechat_busy", (-1, 61080)),
        ("transient", (43108,)),
        ("token", (40001, 40014, 42001)),
        ("rate_minute", (45011, 44990, 44991, 61081)),
        ("rate_day", (45009, 44993, 9410009)),
    ],
)
def test_who_waits_is_told_why_in_words(word: str, errcodes: tuple[int, ...]) -> None:
    for errcode in errcodes:
        outcome = outcome_of(refusal(SEND, errcode, ""), busy_answers=0)
        assert outcome == Outcome("put_off", word, errcode)


def test_no_reason_is_a_number() -> None:
    errors = [refusal(SEND, errcode, "") for errcode in (*ERRCODES, 12345)]
    reasons = {
        outcome_of(error, busy_answers=n).reason for error in errors for n in (0, 9)
    }

    assert all(re.fullmatch("[a-z_]+", reason or "") for reason in reasons)


def test_busy_is_believed_twice() -> None:
    busy = refusal(SEND, -1, "")
    names = [outcome_of(busy, n).name for n in range(BUSY_REPEATS + 1)]

    assert names == ["put_off", "put_off", "failed"]
    assert outcome_of(refusal(TOKEN, -1, ""), 9).name == "put_off"


def test_patience_ends() -> None:
    waiting = Outcome("put_off", "rate_day", 45009)

    assert after_waiting(waiting, 1000, 1000) is waiting
    assert after_waiting(waiting, 1001, 1000) == Outcome("failed", "gave_up", 45009)
