"""The web process's own HTTP path: real gunicorn, real sockets, bytes as they come."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from config.clock import monotonic, sleep
from tests.integration.raw_http import (
    HOST,
    PATIENCE_S,
    Phone,
    Server,
    post,
    serving,
)
from tests.servers.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("http")) as started:
        yield started


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    yield running
    running.hang_up()


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    limits = ("--keep-alive", "1", "--timeout", str(WRITE_S))
    with serving(tmp_path_factory.mktemp("hasty"), *limits) as started:
        yield started


WRITE_S = 3
CHUNKED = b"Transfer-Encoding: chunked"
JSON = b"Content-Type: application/json"

REFUSED = {
    "no Host": b"GET /echo HTTP/1.1\r\n\r\n",
    "unknown method": b"FOO / HTTP/1.1\r\n" + HOST + b"\r\n",
    "length and chunks": post(
        b"/echo", b"Content-Length: 4", CHUNKED, body=b"2\r\n{}\r\n0\r\n\r\n"
    ),
    "chunks and length": post(
        b"/echo", CHUNKED, b"Content-Length: 4", body=b"2\r\n{}\r\n0\r\n\r\n"
    ),
    "two Hosts": b"GET /echo HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "folded field": b"GET /echo HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "bare line feeds": b"GET /echo HTTP/1.1\nHost: x\n\n",
    "one bare line feed": b"GET /echo HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
    "HTTP/0.9": b"GET /echo\r\n\r\n",
    "HTTP/2": b"GET /echo HTTP/2.0\r\nHost: x\r\n\r\n",
    "bad chunk": post(b"/echo", CHUNKED, body=b"zz\r\n{}\r\n0\r\n\r\n"),
    "gzip": post(b"/echo", b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "long line": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "many fields": post(b"/echo", *(b"a%d: b" % n for n in range(80))),
    "large field": post(b"/echo", b"a: " + b"b" * 17_000),
    "endless head": b"GET / HTTP/1.1\r\nA: " + b"b" * 60_000,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
    "tunnel": b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "two lengths": post(b"/echo", b"Content-Length: 2", b"Content-Length: 3"),
    "underscore": post(b"/echo", b"X_Y: 1"),
    "space before colon": b"GET /echo HTTP/1.1\r\nHost : x\r\n\r\n",
    "negative length": post(b"/echo", b"Content-Length: -2", body=b"{}"),
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "chunks in HTTP/1.0": b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0"
    b"\r\n\r\n",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_refused_requests_get_the_apps_words_and_the_end(
    server: Server, data: bytes
) -> None:
    phone = server.phone().send(data)

    answer = phone.answer()

    assert answer.status == 400
    assert answer.fields["connection"] == "close"
    assert answer.body in {b"validation_failed", b"method_not_allowed"}
    assert phone.ended()


def test_a_request_arrives_as_it_was_sent(server: Server) -> None:
    phone = server.phone().send(
        post(b"/echo?a=%20&b", b"X-One: 1", b"Content-Length: 3", JSON, body=b"a\x00b")
    )

    echo = phone.answer().echo

    assert echo["REQUEST_METHOD"] == "POST"
    assert (echo["PATH_INFO"], echo["QUERY_STRING"]) == ("/echo", "a=%20&b")
    assert (echo["HTTP_X_ONE"], echo["CONTENT_TYPE"]) == ("1", "application/json")
    assert echo["CONTENT_LENGTH"] == "3"
    assert echo["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert echo["REMOTE_ADDR"] == "127.0.0.1"
    assert echo["SERVER_PORT"] == str(server.port)
    assert echo["body"] == "a\x00b"


def test_a_chunked_body_is_put_together_and_its_trailer_ignored(
    server: Server,
) -> None:
    body = b"2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"
    phone = server.phone().send(post(b"/echo", CHUNKED, body=body))

    echo = phone.answer().echo

    assert echo["body"] == "abcde"
    assert "HTTP_X_FORWARDED_FOR" not in echo
    assert phone.get("/ignore").answer().status == 200


def test_a_body_may_arrive_in_drops(server: Server) -> None:
    phone = server.phone().send(post(b"/echo", b"Content-Length: 4"))
    for drop in (b"a", b"b", b"cd"):
        sleep(0.01)
        phone.send(drop)

    assert phone.answer().echo["body"] == "abcd"


def test_a_connection_serves_many_requests(server: Server) -> None:
    phone = server.phone()

    pids = {phone.get("/slow?0").answer().body for _ in range(20)}

    assert len(pids) == 1


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    phone = server.phone()
    phone.get("/echo?1").get("/slow?0.05").get("/echo?3")

    first, second, third = phone.answer(), phone.answer(), phone.answer()

    assert first.echo["QUERY_STRING"] == "1"
    assert second.body.isdigit()
    assert third.echo["QUERY_STRING"] == "3"


def test_a_body_nobody_reads_is_never_the_next_request(server: Server) -> None:
    smuggled = b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"
    head = post(b"/ignore", b"Content-Length: %d" % (len(smuggled) + 5))
    phone = server.phone().send(head)
    sleep(0.02)
    phone.send(smuggled)

    answer = phone.answer()

    assert answer.body == b"ignored"
    assert answer.fields["connection"] == "close"
    assert phone.ended()


def test_a_whole_body_nobody_reads_does_not_end_the_connection(
    server: Server,
) -> None:
    smuggled = b"GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"
    data = post(b"/ignore", b"Content-Length: %d" % len(smuggled), body=smuggled)
    phone = server.phone().send(data)
    assert phone.answer().body == b"ignored"

    assert phone.get("/echo?next").answer().echo["QUERY_STRING"] == "next"


def test_a_large_refused_body_still_lets_the_answer_be_read(server: Server) -> None:
    head = post(b"/strict", JSON, b"Content-Length: 900")
    phone = server.phone().send(post(b"/ignore", b"Content-Length: 900000"))
    with suppress(ConnectionError):
        phone.send(b"x" * 200_000)

    assert phone.answer().body == b"ignored"
    assert server.phone().send(head + b"1" * 900).answer().status == 200


@pytest.mark.parametrize("path", ["/echo", "/stream"])
def test_head_has_the_fields_and_no_body(server: Server, path: str) -> None:
    phone = server.phone().send(
        b"HEAD %b HTTP/1.1\r\n" % path.encode() + HOST + b"\r\n"
    )
    assert phone.answer(has_body=False).status == 200

    assert phone.get("/ignore").answer().body == b"ignored"


def test_streams_and_empty_answers_keep_the_connection(server: Server) -> None:
    phone = server.phone()

    assert phone.get("/stream").answer().body == b"abc"
    assert phone.get("/empty").answer().status == 204
    assert phone.get("/none").answer().status == 404


def test_an_old_client_gets_an_answer_and_the_end(server: Server) -> None:
    phone = server.phone().send(b"GET /echo HTTP/1.0\r\n\r\n")

    assert phone.answer().fields["connection"] == "close"
    assert phone.ended()


def test_an_old_client_may_keep_its_connection(server: Server) -> None:
    ask = b"GET /ignore HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    phone = server.phone().send(ask)

    assert phone.answer().fields["connection"] == "keep-alive"
    assert phone.send(ask).answer().status == 200


def test_an_old_client_reads_a_stream_to_the_end(server: Server) -> None:
    ask = b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    rest = server.phone().send(ask).rest()

    assert rest.endswith(b"\r\n\r\nabc")
    assert b"chunked" not in rest


def test_who_waits_for_permission_gets_it_once_the_body_is_wanted(
    server: Server,
) -> None:
    fields = b"Expect: 100-continue", b"Content-Length: 2"
    phone = server.phone().send(post(b"/echo", *fields))
    assert phone.answer(has_body=False).status == 100

    assert phone.send(b"{}").answer().echo["body"] == "{}"


def test_who_waits_for_permission_is_refused_without_it(server: Server) -> None:
    fields = b"Expect: 100-continue", b"Content-Length: 2"
    answer = server.phone().send(post(b"/ignore", *fields)).answer()

    assert (answer.status, answer.body) == (200, b"ignored")


def test_an_old_client_is_sent_no_interim_answer(server: Server) -> None:
    head = b"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    phone = server.phone().send(head)
    sleep(0.05)

    assert phone.send(b"{}").answer().status == 200


def test_an_offer_to_upgrade_is_ignored(server: Server) -> None:
    phone = server.phone().get("/ignore", "Upgrade: websocket", "Connection: Upgrade")

    assert phone.answer().status == 200
    assert phone.ended()


def test_a_body_beside_an_offer_to_upgrade_is_read(server: Server) -> None:
    offer = (b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 4")
    phone = server.phone().send(post(b"/echo", *offer, body=b"ab"))
    sleep(0.02)

    assert phone.send(b"cd").answer().echo["body"] == "abcd"
    assert phone.ended()


@pytest.mark.parametrize(
    "data",
    [b"", b"GET /ec", b"GET /echo HTTP/1.1\r\nHost: x\r\nA: "],
    ids=["nothing", "half a line", "half a head"],
)
def test_a_client_that_says_too_little_is_left(hasty: Server, data: bytes) -> None:
    assert hasty.phone().send(data).ended()


def test_drops_do_not_buy_a_slow_head_more_time(hasty: Server) -> None:
    phone = hasty.phone().send(b"GET /echo HTTP/1.1\r\nHost: x\r\n")
    started = monotonic()
    with suppress(ConnectionError):
        while monotonic() - started < PATIENCE_S:
            phone.send(b"A: b\r\n")
            sleep(0.1)

    assert monotonic() - started < PATIENCE_S


def test_a_slow_body_is_given_up_while_others_are_served(server: Server) -> None:
    slow = server.phone().send(
        post(b"/strict", JSON, b"Content-Length: 900", body=b"1")
    )
    other = server.phone().get("/ignore").answer()

    assert other.status == 200
    assert slow.answer().status == 408
    assert slow.ended()


def test_a_client_that_hangs_up_in_its_body_harms_nobody(server: Server) -> None:
    phone = server.phone().send(post(b"/strict", JSON, b"Content-Length: 900"))
    phone.socket.close()

    assert server.phone().get("/ignore").answer().status == 200


def test_a_bad_chunk_in_the_middle_ends_the_body(server: Server) -> None:
    phone = server.phone().send(post(b"/strict", JSON, CHUNKED, body=b"2\r\n12\r\n"))
    sleep(0.05)
    phone.send(b"zz\r\n")

    assert phone.answer().status == 400
    assert phone.ended()


def test_slow_readers_hold_nobody_up_and_are_left(hasty: Server) -> None:
    readers = [hasty.phone().get("/big") for _ in range(5)]
    for reader in readers:
        reader.socket.recv(1000)

    with ThreadPoolExecutor(10) as pool:
        ask = lambda _: hasty.phone().get("/slow?0.05").answer().status  # noqa: E731
        assert list(pool.map(ask, range(20))) == [200] * 20
    sleep(WRITE_S + 5)
    # What the kernel had taken is still readable; the whole answer is not.
    assert all(left(reader) < 4_000_000 for reader in readers)


def left(reader: Phone) -> int:
    try:
        return len(reader.rest())
    except ConnectionResetError:
        return 0


def test_an_error_of_the_app_ends_its_connection_and_is_logged(
    server: Server,
) -> None:
    assert server.phone().get("/boom").ended()

    logged = lambda: "ZeroDivisionError" in server.log()  # noqa: E731
    wait_until(logged, within_s=PATIENCE_S, what="the log line")
    assert server.phone().get("/ignore").answer().status == 200


def test_a_broken_stream_is_closed_and_not_ended_politely(
    server: Server, tmp_path: Path
) -> None:
    sign = tmp_path / "closed"
    rest = server.phone().get(f"/broken?{sign}").rest()

    assert b"5\r\nfirst\r\n" in rest
    assert not rest.endswith(b"0\r\n\r\n")
    assert sign.exists()


def test_a_worker_leaves_after_its_last_request_and_nobody_is_refused(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, "--max-requests", "3") as server:
        answers = [server.phone().get("/slow?0").answer() for _ in range(3)]
        assert [a.status for a in answers] == [200] * 3
        assert len({a.body for a in answers}) == 1
        assert answers[2].fields["connection"] == "close"

        def replaced() -> bool:
            # Also whom the leaving worker still accepts gets an answer.
            later = server.phone().get("/slow?0").answer()
            assert later.status == 200
            return later.body != answers[0].body

        wait_until(replaced, within_s=PATIENCE_S, what="another worker answers")


def test_a_stop_lets_requests_finish_and_ends_idle_connections(
    tmp_path: Path,
) -> None:
    with serving(
        tmp_path, "--keep-alive", "200", "--graceful-timeout", "200"
    ) as server:
        idle = server.phone()
        assert idle.get("/ignore").answer().status == 200
        busy = server.phone().get("/slow?4")
        sleep(1)
        server.process.signal(signal.SIGTERM)
        started = monotonic()

        answer = busy.answer()
        assert answer.status == 200
        assert answer.fields["connection"] == "close"
        assert idle.ended()
        assert server.process.wait(PATIENCE_S) == 0
        # Neither the time of the idle one nor the whole grace.
        assert monotonic() - started < PATIENCE_S
