"""From WSGI's answer to bytes: framed by its length, by chunks, or by the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from web.server.responses import ResponseWriter

TYPE = ("Content-Type", "application/json")


class Wire:
    """Collects what a writer sends."""

    def __init__(
        self, *, is_head: bool = False, closes: bool = False, old: bool = False
    ) -> None:
        self.sent: list[bytes] = []
        self.writer = ResponseWriter(
            self.sent.append, is_head=is_head, closes=closes, old=old
        )

    def answer(self, status: str, body, *headers: tuple[str, str]) -> None:
        self.writer.start_response(status, list(headers))
        self.writer.send(body)

    def head(self) -> str:
        return b"".join(self.sent).partition(b"\r\n\r\n")[0].decode()

    def body(self) -> bytes:
        return b"".join(self.sent).partition(b"\r\n\r\n")[2]


class Body:
    """A body of pieces that must be closed, and may break."""

    def __init__(self, *pieces: bytes, breaks: bool = False) -> None:
        self.pieces = pieces
        self.breaks = breaks
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces
        if self.breaks:
            raise ValueError("half way")

    def close(self) -> None:
        self.closed = True


def test_a_finished_answer_is_one_write_with_its_length() -> None:
    wire = Wire()
    wire.answer("200 OK", [b"{}"], TYPE)

    assert len(wire.sent) == 1
    assert wire.body() == b"{}"
    assert wire.head().startswith("HTTP/1.1 200 OK\r\nDate: ")
    assert "Content-Length: 2" in wire.head()
    assert "Connection" not in wire.head()


def test_a_declared_length_is_not_told_twice() -> None:
    wire = Wire()
    wire.answer("200 OK", [b"{}"], ("content-length", "2"))

    assert wire.head().lower().count("content-length") == 1


def test_a_stream_is_sent_in_chunks() -> None:
    wire, body = Wire(), Body(b"ab", b"", b"c")
    wire.answer("200 OK", body)

    assert "Transfer-Encoding: chunked" in wire.head()
    assert wire.body() == b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    assert body.closed


def test_a_stream_of_known_length_is_sent_plain() -> None:
    wire = Wire()
    wire.answer("200 OK", [b"ab", b"c"], ("Content-Length", "3"))

    assert wire.body() == b"abc"


def test_a_stream_to_an_old_client_ends_with_the_connection() -> None:
    wire = Wire(old=True)
    wire.answer("200 OK", Body(b"ab"))

    assert wire.body() == b"ab"
    assert wire.writer.closes
    assert "Connection: close" in wire.head()


def test_an_old_client_that_asked_is_told_that_the_connection_stays() -> None:
    wire = Wire(old=True)
    wire.answer("200 OK", [b"x"])

    assert "Connection: keep-alive" in wire.head()


@pytest.mark.parametrize("body", [[b"{}"], Body(b"{}")], ids=["list", "stream"])
def test_head_gets_no_body(body) -> None:
    wire = Wire(is_head=True)
    wire.answer("200 OK", body)

    assert wire.body() == b""


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("body", [[], Body()], ids=["list", "stream"])
def test_an_answer_without_body_has_no_framing(status: str, body) -> None:
    wire = Wire()
    wire.answer(status, body)

    assert wire.body() == b""
    assert "Content-Length" not in wire.head()
    assert "Transfer-Encoding" not in wire.head()


def test_the_app_cleans_up_also_when_its_body_breaks() -> None:
    wire, body = Wire(), Body(b"a", breaks=True)

    with pytest.raises(ValueError, match="half way"):
        wire.answer("200 OK", body)

    assert body.closed


def test_a_second_start_after_the_head_raises_the_error_it_brings() -> None:
    wire = Wire()
    wire.answer("200 OK", [b"x"])
    error = KeyError("late")

    with pytest.raises(KeyError):
        wire.writer.start_response("500 x", [], (KeyError, error, None))


def test_a_second_start_before_the_head_replaces_the_first() -> None:
    wire = Wire()
    wire.writer.start_response("200 OK", [])
    wire.writer.start_response("500 x", [], (KeyError, KeyError(), None))
    wire.writer.send([b"sorry"])

    assert wire.head().startswith("HTTP/1.1 500 x")


def test_the_end_of_a_connection_is_announced() -> None:
    wire = Wire(closes=True)
    wire.answer("200 OK", [])

    assert "Connection: close" in wire.head()
    assert "Content-Length: 0" in wire.head()
