"""Which failures are tried again, and what is written of them."""

from __future__ import annotations

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy.exc import IntegrityError

from models.errors import (
    Conflict,
    DatabaseUnavailable,
    InvalidInput,
    Limited,
    RedisUnavailable,
)
from models.sealing import Unsealable
from tasks.failures import cause_of, is_transient
from wechat.errors import BreakerOpen, WeChatTimeout, refusal

PATH = "/cgi-bin/message/subscribe/send"


@pytest.mark.parametrize(
    "error",
    [
        DatabaseUnavailable("gone"),
        RedisUnavailable("gone"),
        Limited("slow down"),
        TimeoutError(),
        ConnectionResetError(),
        SoftTimeLimitExceeded(),
        IntegrityError("INSERT", {}, ValueError()),
        WeChatTimeout(PATH),
        BreakerOpen(PATH, 100),
        refusal(PATH, -1, ""),
        refusal(PATH, 40001, ""),
        refusal(PATH, 45011, ""),
        refusal(PATH, 45009, ""),
    ],
)
def test_what_passes_by_itself_is_tried_again(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        InvalidInput("no"),
        Conflict("no"),
        Unsealable("no"),
        KeyError("a bug"),
        refusal(PATH, 43101, ""),
        refusal(PATH, 40013, ""),
    ],
)
def test_what_stays_wrong_is_set_aside(error: Exception) -> None:
    assert not is_transient(error)


def test_a_cause_names_the_error_and_quotes_nobody() -> None:
    quoting = IntegrityError("INSERT", {"phone": "13800138000"}, ValueError("o6_bm"))
    error = DatabaseUnavailable("user 13800138000")
    error.__cause__ = quoting

    assert cause_of(error) == "DatabaseUnavailable unavailable IntegrityError"
    assert cause_of(refusal(PATH, 43101, "user refuse")) == "UserState 43101"
