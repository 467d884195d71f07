"""X-Timeout-Ms reaches SQL in a real web process: nothing is half done in a hang."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from tests.servers.fixtures import require
from tests.servers.phone import Phone
from tests.servers.redis_server import find_redis
from tests.servers.stack import Stack, standing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.http import Answer
    from tests.servers.mariadb_server import MariaDbServer

# By themselves the database's own limits would outlast the test.
ENDLESS = {
    "DATABASE_LOCK_WAIT_S": "600",
    "DATABASE_READ_TIMEOUT_S": "600",
    "DATABASE_STATEMENT_TIMEOUT_S": "600",
}


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, own_mariadb: MariaDbServer
) -> Iterator[Stack]:
    require(find_redis)
    folder = tmp_path_factory.mktemp("deadline")
    made = Stack(folder, own_mariadb.create("deadline"), **ENDLESS)
    with standing(made, "wechat", "web"):
        yield made


@pytest.fixture
def phone(stack: Stack) -> Phone:
    made = Phone(stack)
    assert made.login().status == 200
    assert made.rename("first").status == 200
    return made


@contextmanager
def side_session(stack: Stack) -> Iterator[sa.Connection]:
    engine = sa.create_engine(stack.database_url)
    with engine.connect() as link:
        yield link
    engine.dispose()


def rows(stack: Stack, query: str, **values: str) -> list[Any]:
    with side_session(stack) as link:
        return list(link.execute(sa.text(query), values))


def rename(phone: Phone, timeout_ms: int) -> Answer:
    head = {"X-Timeout-Ms": str(timeout_ms), "Idempotency-Key": "k-1"}
    return phone.api(
        "PATCH",
        "/me",
        token=phone.data["access_token"],
        body={"nickname": "second"},
        headers=head,
    )


def test_a_write_that_hangs_ends_with_its_request_and_can_be_repeated(
    stack: Stack, phone: Phone
) -> None:
    events = "SELECT type FROM user_events WHERE user_id = :id"
    before = len(rows(stack, events, id=phone.user_id))
    lock = sa.text("SELECT id FROM users WHERE id = :id FOR UPDATE")

    with side_session(stack) as link:
        link.execute(lock, {"id": phone.user_id})
        # The client itself waits 30 s; the server's own limits ten minutes.
        refused = rename(phone, 3000)
        assert (refused.status, refused.reason) == (503, "unavailable")
        assert refused.json["action"] == "wait"
        assert refused.json["retry_after_ms"] > 0
        # Others, and other statements of this process, go on meanwhile.
        assert phone.api("GET", "/me", token=phone.data["access_token"]).status == 200

    name = "SELECT nickname FROM users WHERE id = :id"
    assert rows(stack, name, id=phone.user_id) == [("first",)]
    assert len(rows(stack, events, id=phone.user_id)) == before
    again = rename(phone, 30_000)
    assert again.data["nickname"] == "second"
    assert "Idempotent-Replayed" not in again.headers
    assert len(rows(stack, events, id=phone.user_id)) == before + 1


def test_a_wish_to_wait_is_longer_than_the_deadline(phone: Phone) -> None:
    answer = phone.api(
        "GET",
        "/events?wait_ms=700",
        token=phone.data["access_token"],
        headers={"X-Timeout-Ms": "100"},
    )

    cursor = answer.data["cursor"]
    answer = phone.api(
        "GET",
        f"/events?wait_ms=700&cursor={cursor}",
        token=phone.data["access_token"],
        headers={"X-Timeout-Ms": "100"},
    )
    assert answer.data["events"] == []
