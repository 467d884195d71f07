"""Refresh tokens over two web processes of a real stack: one successor for all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.servers.phone import Phone

if TYPE_CHECKING:
    from tests.servers.http import Answer
    from tests.servers.stack import Stack

CALLERS = 50


@pytest.fixture
def phone(front: Stack) -> Phone:
    made = Phone(front)
    assert made.login().status == 200
    return made


def refreshed(phone: Phone) -> list[Answer]:
    with ThreadPoolExecutor(CALLERS) as pool:
        return list(pool.map(lambda _: phone.refresh(), range(CALLERS)))


@pytest.mark.parametrize("away", [False, True], ids=["Redis", "SQL alone"])
def test_fifty_at_once_get_one_successor_each_time(
    front: Stack, phone: Phone, *, away: bool
) -> None:
    if away:
        front.redis.process.freeze()
    try:
        for _ in range(3):
            told = refreshed(phone)
            assert [a.body for a in told if a.status != 200] == []
            tokens = {answer.data["refresh_token"] for answer in told}
            assert len(tokens) == 1
            phone.data = {**phone.data, **told[0].data}
    finally:
        front.redis.process.thaw()
    assert phone.me().status == 200
    assert phone.refresh().data["session_id"] == phone.data["session_id"]
