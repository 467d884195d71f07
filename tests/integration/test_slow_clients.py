"""Clients that never come to an end, against the real app on the real server.

Each is answered and closed, or only closed, while others are served. Nothing is timed:
a client that is not left runs into the test's patience.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from config.clock import monotonic, sleep
from tests.integration.raw_http import PATIENCE_S, Phone, post
from tests.servers.fixtures import require
from tests.servers.redis_server import find_redis
from tests.servers.stack import Stack, standing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.raw_http import Answer

LOGIN = b"/api/v1/auth/login"
JSON = b"Content-Type: application/json"
CHUNKED = b"Transfer-Encoding: chunked"
DECLARED = b"Content-Length: 900"
CHUNKS = post(LOGIN, JSON, CHUNKED)
# Far above what any step of these tests should need, far below "for ever".
ENOUGH_BYTES = 30_000_000
HASTE = {
    "BODY_DEADLINE_S": "1",
    "KEEPALIVE_S": "1",
    "WORKER_TIMEOUT_S": "3",
    "WEB_PROCESSES": "1",
}


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    require(find_redis)
    stack = Stack(tmp_path_factory.mktemp("slow"), **HASTE)
    with standing(stack, "web"):
        yield stack


@pytest.fixture
def phone(web: Stack) -> Iterator[Phone]:
    opened = Phone(web.ports["web"])
    yield opened
    opened.socket.close()
    other = Phone(web.ports["web"]).get("/healthz")
    assert other.answer().status == 200
    other.socket.close()


def pour(phone: Phone, piece: bytes, every_s: float = 0.0) -> None:
    """Send ``piece`` again and again until the server has had enough."""
    until, sent = monotonic() + PATIENCE_S, 0
    with suppress(ConnectionError):
        while sent < ENOUGH_BYTES and monotonic() < until:
            phone.send(piece)
            sent += len(piece)
            sleep(every_s)
        pytest.fail("the server listens for ever")


def last_words(phone: Phone) -> Answer:
    """Return the one answer, after which the connection ends."""
    answer = phone.answer()
    assert answer.fields["connection"] == "close"
    assert phone.ended()
    return answer


SILENT = {
    "no body": post(LOGIN, JSON, DECLARED),
    "half a body": post(LOGIN, JSON, DECLARED, body=b'{"code": '),
    "no chunk": CHUNKS,
    "half a chunk": CHUNKS + b"9\r\n{",
    "half the size of a chunk": CHUNKS + b"9",
    "no last chunk": CHUNKS + b"2\r\n{}\r\n",
    "half a trailer": CHUNKS + b"2\r\n{}\r\n0\r\nA: b",
    "half an extension": CHUNKS + b"2;a=",
}


@pytest.mark.parametrize("said", SILENT.values(), ids=SILENT)
def test_who_falls_silent_in_a_body_is_told_and_left(phone: Phone, said: bytes) -> None:
    phone.send(said)

    answer = last_words(phone)

    assert answer.status == 408
    assert answer.echo["reason"] == "request_timeout"


DRIPPING = {
    "body": (post(LOGIN, JSON, DECLARED), b" "),
    "chunks": (CHUNKS, b"1\r\n \r\n"),
    "one chunk": (CHUNKS + b"ffff\r\n", b" "),
    "extension": (CHUNKS + b"2;", b"a"),
    "trailers": (CHUNKS + b"2\r\n{}\r\n0\r\n", b"A: b\r\n"),
}


@pytest.mark.parametrize(("begin", "drop"), DRIPPING.values(), ids=DRIPPING)
def test_drops_buy_a_body_no_more_time(phone: Phone, begin: bytes, drop: bytes) -> None:
    phone.send(begin)

    pour(phone, drop, every_s=0.1)


ENDLESS = {
    "chunks": (CHUNKS, b"400\r\n" + b" " * 1024 + b"\r\n", 413),
    "one chunk": (CHUNKS + b"fffffff\r\n", b" " * 1024, 413),
    "declared": (post(LOGIN, JSON, b"Content-Length: 99999999"), b" " * 1024, 413),
    "extension": (CHUNKS + b"2;a=", b"b" * 1024, 400),
    "trailers": (CHUNKS + b"2\r\n{}\r\n0\r\n", b"A: b\r\n" * 200, 400),
    "trailer": (CHUNKS + b"2\r\n{}\r\n0\r\nA: ", b"b" * 1024, 400),
}


@pytest.mark.parametrize(("begin", "more", "status"), ENDLESS.values(), ids=ENDLESS)
def test_bodies_without_end_are_refused_before_they_end(
    phone: Phone, begin: bytes, more: bytes, status: int
) -> None:
    phone.send(begin)
    with suppress(ConnectionError):
        # More than the limit of the body and of what may be around it.
        for _ in range(140):
            phone.send(more)

    answer = last_words(phone)

    assert answer.status == status
    assert answer.echo["reason"] in {"body_too_large", "invalid_json"}


def test_who_is_told_to_go_on_and_says_nothing_is_left(phone: Phone) -> None:
    phone.send(post(LOGIN, JSON, DECLARED, b"Expect: 100-continue"))
    assert phone.answer(has_body=False).status == 100

    assert last_words(phone).status == 408


def test_drops_buy_a_head_no_more_time(phone: Phone) -> None:
    phone.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")

    pour(phone, b"A: b\r\n", every_s=0.1)


def test_who_asks_and_never_reads_is_left(phone: Phone) -> None:
    ask = b"GET /api/hello HTTP/1.1\r\nHost: x\r\n\r\n" * 100
    # Answers fill the buffers of both sides; then the server waits to write.
    phone.socket.settimeout(PATIENCE_S)

    pour(phone, ask)


def test_a_whole_body_in_odd_chunks_is_a_body_like_others(phone: Phone) -> None:
    body = b"1;a=b;c\r\n{\r\n00001\r\n}\r\n0;x\r\nContent-Type: text/html\r\n\r\n"
    answer = phone.send(CHUNKS + body).answer()

    assert answer.status == 400
    assert answer.echo["errors"][0]["field"] == "code"
    assert phone.get("/healthz").answer().status == 200
