"""Whole processes over a Redis that is killed and put back as it was before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.servers.fixtures import require
from tests.servers.old_redis import OldRedis
from tests.servers.phone import Phone
from tests.servers.process import wait_until
from tests.servers.redis_server import find_redis
from tests.servers.stack import Stack, standing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OVER = {"session_revoked"}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    require(find_redis)
    made = Stack(tmp_path / "stack")
    made.redis = OldRedis(made.folder / "redis")
    with standing(made, "wechat", "web", "relay", "worker"):
        yield made


def end(phone: Phone, way: str) -> Any:
    token = phone.data["access_token"]
    if way == "delete":
        return phone.api("DELETE", f"/sessions/{phone.data['session_id']}", token=token)
    return phone.api("POST", "/auth/logout", body={"scope": way}, token=token)


def is_loaded(stack: Stack) -> bool:
    """Whether the relay has told this Redis all it may have lost."""
    with stack.redis.client() as client:
        mark = client.get("kuaida:standings")
        return bool(mark == client.info("server")["run_id"].encode())


def test_no_process_lets_an_ended_session_in_by_an_older_file(stack: Stack) -> None:
    redis = stack.redis
    assert isinstance(redis, OldRedis)
    phones = {way: Phone(stack) for way in ("this", "all", "delete", "lives")}
    for phone in phones.values():
        assert phone.login().status == 200
    lives = phones["lives"]
    redis.keep()
    ended = [phone for way, phone in phones.items() if way != "lives"]
    for way, phone in phones.items():
        assert way == "lives" or end(phone, way).status == 200
    redis.set_back()

    # From the first answer on, and when the relay has told Redis.
    told = {phone.me().reason for phone in ended}
    told |= {phone.refresh().reason for phone in ended}
    assert told <= OVER
    wait_until(lambda: is_loaded(stack), within_s=60, what="standings loaded")
    for _ in range(3):
        assert {phone.me().reason for phone in ended} == OVER
        assert {phone.refresh().reason for phone in ended} == OVER
    wait_until(lambda: lives.me().status == 200, within_s=60, what="a live session")
    assert lives.refresh().status == 200
