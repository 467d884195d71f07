"""The pooled transport against a raw TCP server that misbehaves to the byte."""

from __future__ import annotations

import pytest

from config.clock import Deadline, monotonic
from tests.integration.raw_wire import (
    OK,
    always,
    bench,
    chunked,
    reset,
    shut,
)
from wechat.errors import (
    WeChatLied,
    WeChatTimeout,
    WeChatUnreachable,
)
from wechat.transport import Answer


def test_one_connection_serves_many_calls() -> None:
    with bench(always(OK)) as b:
        answers = {b.get() for _ in range(20)}

        assert answers == {Answer(200, b'{"a": 1}')}
        assert b.wire.connections == 1


def test_the_request_is_exactly_what_was_meant() -> None:
    with bench(always(OK)) as b:
        b.get(code="a b&c=\r\nHost: evil/快")

    request = b.wire.requests[0]
    assert request.startswith(
        b"GET /p?code=a%20b%26c%3D%0D%0AHost%3A%20evil%2F%E5%BF%AB HTTP/1.1\r\n"
    )
    assert request.count(b"Host:") == 1


def test_a_body_goes_with_its_length() -> None:
    with bench(always(OK)) as b:
        body = '{"a":"快"}'.encode()
        b.transport.request(
            "POST", "/p", query={}, body=body, deadline=Deadline.after_ms(2000)
        )

    head, _, sent = b.wire.requests[0].partition(b"\r\n\r\n")
    assert sent == body
    assert b"Content-Length: %d" % len(body) in head
    assert b"Content-Type: application/json" in head


@pytest.mark.parametrize("pieces", [[b'{"a"', b": 1}"], [b'{"a": 1}']])
def test_chunked_answers_are_joined_and_the_connection_kept(pieces) -> None:
    with bench(always(chunked(*pieces))) as b:
        assert {b.get().body for _ in range(3)} == {b'{"a": 1}'}
        assert b.wire.connections == 1


def test_an_answer_in_single_bytes_is_whole() -> None:
    pieces = [OK[i : i + 1] for i in range(len(OK))]
    with bench(always(*pieces)) as b:
        assert b.get().body == b'{"a": 1}'


def test_connection_close_is_obeyed() -> None:
    answer = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with bench(always(answer)) as b:
        assert [b.get().status for _ in range(3)] == [200] * 3
        assert b.wire.connections == 3


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    answer = b'HTTP/1.1 200 OK\r\n\r\n{"a": 1}'
    with bench(always(answer, then=shut)) as b:
        assert [b.get().body for _ in range(2)] == [b'{"a": 1}'] * 2


def test_an_interim_answer_is_passed_over() -> None:
    with bench(always(b"HTTP/1.1 100 Continue\r\n\r\n", OK)) as b:
        assert b.get() == Answer(200, b'{"a": 1}')


@pytest.mark.parametrize("status", [301, 302, 307])
def test_redirects_are_not_followed(status) -> None:
    answer = b"HTTP/1.1 %d Moved\r\nLocation: /else\r\nContent-Length: 0\r\n\r\n"
    with bench(always(answer % status)) as b:
        assert b.get().status == status
        assert len(b.wire.requests) == 1


@pytest.mark.parametrize(
    ("pieces", "end", "error"),
    [
        ([OK[:-3]], shut, WeChatUnreachable),
        ([OK[:20]], shut, WeChatUnreachable),
        ([], shut, WeChatUnreachable),
        ([], reset, WeChatUnreachable),
        ([OK[:-3]], reset, WeChatUnreachable),
        ([chunked(b"x")[:-5]], shut, WeChatUnreachable),
        ([b"SSH-2.0-OpenSSH\r\n"], None, WeChatLied),
        ([b"HTTP/1.1 abc\r\n\r\n"], None, WeChatLied),
        ([OK + b"junk"], None, WeChatLied),
    ],
)
def test_a_broken_answer_is_a_typed_error_and_is_not_asked_again(
    pieces, end, error
) -> None:
    with bench(always(*pieces, then=end)) as b:
        with pytest.raises(error) as caught:
            b.get(secret="s3cret")

        assert caught.value.sent
        assert "s3cret" not in repr(caught.value)
        assert len(b.wire.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 200000000\r\n\r\n" + b"x" * 60_000,
        chunked(b"x" * 20_000),
        b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"y" * 30_000 + b"\r\n\r\n",
    ],
)
def test_an_endless_answer_is_cut_at_the_limit(answer) -> None:
    with bench(always(answer)) as b, pytest.raises(WeChatLied, match="too large"):
        b.get()


def test_a_slow_drip_ends_at_the_deadline_not_at_its_last_byte() -> None:
    drip = [OK[i : i + 1] for i in range(len(OK))]
    with bench(always(*drip, pause_s=0.2)) as b:
        started = monotonic()
        with pytest.raises(WeChatTimeout):
            b.get(500)

        assert 0.15 < monotonic() - started < len(drip) * 0.2


def test_silence_ends_at_the_deadline_and_the_connection_is_dropped() -> None:
    with bench(always()) as b:
        with pytest.raises(WeChatTimeout) as caught:
            b.get(1500)
        assert caught.value.sent
        with pytest.raises(WeChatTimeout):
            b.get(1500)

        assert b.wire.connections == 2
