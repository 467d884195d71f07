"""P9 over HTTP: real web processes, killed, and with the stores wiped and away."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from config.clock import sleep
from tests.servers.phone import Phone
from tests.servers.process import wait_until
from tests.servers.schema import rows
from tests.servers.stack import answers

if TYPE_CHECKING:
    from tests.servers.http import Answer
    from tests.servers.mariadb_server import MariaDbServer
    from tests.servers.stack import Stack

REPLAYED = "Idempotent-Replayed"


class Writer(Phone):
    """A phone that repeats its requests under a key."""

    def write(self, key: str, city: str = "x") -> Answer:
        """Change the profile."""
        head = {"Idempotency-Key": key}
        token, body = self.data["access_token"], {"city": city}
        return self.api("PATCH", "/me", token=token, body=body, headers=head)

    def leave(self, scope: str, key: str = "bye") -> Answer:
        """Log out; ``no key`` stands for none."""
        head = {} if key == "no key" else {"Idempotency-Key": key}
        token, body = self.data["access_token"], {"scope": scope}
        return self.api("POST", "/auth/logout", token=token, body=body, headers=head)

    def effects(self) -> list[dict[str, Any]]:
        """Return the changes that have happened to this user."""
        query = "SELECT seq FROM user_events WHERE user_id = :user AND type = :type"
        found = {"user": self.user_id, "type": "profile.updated"}
        return rows(self.stack.database_url, query, **found)


@pytest.fixture
def writer(front: Stack) -> Writer:
    made = Writer(front)
    assert made.login().status == 200
    return made


def data_of(answer: Answer) -> bytes:
    """Return the bytes of ``data`` as they came over the wire."""
    start = answer.body.index(b'"data":') + len(b'"data":')
    return answer.body[start : answer.body.rindex(b',"request_id":')]


def test_fifty_equal_requests_at_once_are_one_effect(writer: Writer) -> None:
    with ThreadPoolExecutor(50) as pool:
        told = list(pool.map(lambda _: writer.write("k"), range(50)))

    assert {answer.status for answer in told} == {200}
    assert len({data_of(answer) for answer in told}) == 1
    assert sum(REPLAYED not in answer.headers for answer in told) == 1
    assert len(writer.effects()) == 1
    refused = writer.write("k", "another city")
    assert (refused.status, refused.reason) == (422, "idempotency_key_reused")
    assert writer.write("other", "y").status == 200
    assert data_of(writer.write("k")) == data_of(told[0])
    assert len(writer.effects()) == 2


def test_a_wiped_redis_forgets_no_answer(front: Stack, writer: Writer) -> None:
    first = writer.write("k")
    front.redis.flush()

    again = writer.write("k")

    assert again.status == 200
    assert again.headers[REPLAYED] == "true"
    assert data_of(again) == data_of(first)
    assert len(writer.effects()) == 1


def test_web_killed_between_commit_and_answer(front: Stack, writer: Writer) -> None:
    # After its commit the process wakes the relay, which a frozen Redis delays.
    front.redis.process.freeze()
    try:
        with ThreadPoolExecutor(1) as pool:
            lost = pool.submit(writer.write, "k")
            wait_until(writer.effects, within_s=60, what="commit", every_s=0.01)
            front.running["web"].signal(signal.SIGKILL, group=True)
            assert lost.exception(100) is not None
    finally:
        front.redis.process.thaw()
        front.running.pop("web").stop()
        front.start("web")
    health = f"{front.url('web')}/healthz"
    front.wait(lambda: answers(health), within_s=120, what="web answers")

    told = [writer.write("k") for _ in range(2)]

    assert [answer.status for answer in told] == [200, 200]
    assert [answer.headers[REPLAYED] for answer in told] == ["true", "true"]
    assert {answer.data["city"] for answer in told} == {"x"}
    assert len({data_of(answer) for answer in told}) == 1
    assert len(writer.effects()) == 1


def test_without_sql_nothing_is_kept(
    front: Stack, own_mariadb: MariaDbServer, writer: Writer
) -> None:
    own_mariadb.process.freeze()
    try:
        answer = writer.write("k")
    finally:
        own_mariadb.process.thaw()

    assert (answer.status, answer.reason) == (503, "unavailable")
    query = "SELECT COUNT(*) AS n FROM idempotency_keys WHERE user_id = :user"
    sleep(0.2)
    kept = rows(front.database_url, query, user=writer.user_id)[0]["n"]
    again = writer.write("k")
    assert again.status == 200
    # The freeze may have let the commit through after the client was told to wait.
    assert (REPLAYED in again.headers) == bool(kept)
    assert len(writer.effects()) == 1


def test_a_logout_of_others_may_be_repeated(front: Stack, writer: Writer) -> None:
    writer.login()

    first, again = (writer.leave("others") for _ in range(2))

    assert first.data == again.data == {"revoked": 1}
    assert again.headers[REPLAYED] == "true"
    assert front.running["web"].alive


@pytest.mark.parametrize("scope", ["this", "all"])
def test_the_answer_of_a_logout_is_told_again_to_the_token_it_ended(
    front: Stack, writer: Writer, scope: str
) -> None:
    older = writer.data["access_token"]
    writer.login()

    first, again = (writer.leave(scope) for _ in range(2))
    front.redis.flush()
    wiped = writer.leave(scope)

    assert first.data == {"revoked": 1 if scope == "this" else 2}
    assert data_of(first) == data_of(again) == data_of(wiped)
    assert (again.headers[REPLAYED], wiped.headers[REPLAYED]) == ("true", "true")
    # Nothing but that very request opens to the token, and to no other token.
    for refused in (
        writer.leave(scope, key="another"),
        writer.leave("others"),
        writer.leave(scope, key="no key"),
        writer.write("bye"),
        writer.me(),
    ):
        assert (refused.status, refused.reason) == (401, "session_revoked")
        assert REPLAYED not in refused.headers
    if scope == "all":
        writer.data["access_token"] = older
        assert writer.leave(scope).reason == "session_revoked"


def test_the_end_of_the_own_session_by_its_id_is_told_again(writer: Writer) -> None:
    path, token = f"/sessions/{writer.data['session_id']}", writer.data["access_token"]
    head = {"Idempotency-Key": "bye"}

    def end() -> Answer:
        return writer.api("DELETE", path, token=token, headers=head)

    first, again = end(), end()

    assert first.data == again.data == {"revoked": 1}
    assert again.headers[REPLAYED] == "true"
