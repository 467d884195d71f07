"""The shipped nginx.conf with a real nginx: handshakes, headers, its own answers."""

from __future__ import annotations

import json
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from config.clock import sleep
from tests.integration.front_house import (
    FIELD,
    Front,
    anything_goes,
    find_curl,
    only,
    trusting,
)
from tests.integration.raw_http import PATIENCE_S, Phone, Server, serving
from tests.servers.certificates import HOST
from tests.servers.fixtures import require
from tests.servers.nginx_server import NginxServer, find_nginx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.front_house import TlsPhone
    from tests.integration.raw_http import Answer

V1_1, V1_2, V1_3 = (
    ssl.TLSVersion.TLSv1_1,
    ssl.TLSVersion.TLSv1_2,
    ssl.TLSVersion.TLSv1_3,
)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("upstream")) as started:
        yield started


@pytest.fixture(scope="module")
def front(
    upstream: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    require(find_nginx)
    nginx = NginxServer(tmp_path_factory.mktemp("nginx"), upstream.port)
    nginx.start()
    yield Front(nginx)
    nginx.stop()


@pytest.fixture
def phone(front: Front) -> Iterator[TlsPhone]:
    opened = front.phone()
    yield opened
    opened.socket.close()


def test_nginx_itself_agrees(front: Front) -> None:
    said = front.nginx.check()

    assert "syntax is ok" in said
    # nginx above 1.25 would say `http2 on`, which the one of Debian 12 does not know.
    warnings = [line for line in said.splitlines() if "[warn]" in line]
    assert [line for line in warnings if "http2" not in line] == []


@pytest.mark.parametrize(("version", "name"), [(V1_2, "TLSv1.2"), (V1_3, "TLSv1.3")])
def test_new_versions_shake_hands(
    front: Front, version: ssl.TLSVersion, name: str
) -> None:
    phone = front.phone(only(version, "DEFAULT", root=front.nginx.root))

    assert phone.tls.version() == name
    assert phone.ask("/echo").answer().echo["HTTP_X_FORWARDED_PROTO"] == "https"
    phone.socket.close()


REFUSED = {
    "TLS 1.1": (V1_1, "ALL:@SECLEVEL=0"),
    "no forward secrecy": (V1_2, "AES128-GCM-SHA256:@SECLEVEL=0"),
    "CBC": (V1_2, "ECDHE-RSA-AES128-SHA:@SECLEVEL=0"),
}


@pytest.mark.parametrize(("version", "ciphers"), REFUSED.values(), ids=REFUSED)
def test_old_versions_and_weak_ciphers_are_refused(
    front: Front, version: ssl.TLSVersion, ciphers: str
) -> None:
    context = only(version, ciphers, root=front.nginx.root)
    # The client is able and willing: an older server would talk with it.
    with anything_goes(front.nginx.root.parent) as port:
        plain = Phone(port).socket
        context.wrap_socket(plain, server_hostname=HOST).close()

    with pytest.raises(ssl.SSLError, match=r"(?i)alert (protocol version|handshake)"):
        front.phone(context)


def test_the_chain_reaches_the_root(front: Front) -> None:
    # Whoever knows the root alone believes nginx, but not the certificate alone.
    front.phone(trusting(front.nginx.root)).socket.close()

    with (
        anything_goes(front.nginx.root.parent, chain="leaf.pem") as port,
        Phone(port).socket as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        trusting(front.nginx.root).wrap_socket(plain, server_hostname=HOST)


def test_no_session_tickets_are_given(front: Front) -> None:
    phone = front.phone(only(V1_2, "DEFAULT", root=front.nginx.root))

    assert phone.tls.session is not None
    assert not phone.tls.session.has_ticket
    phone.socket.close()


def test_what_clients_say_of_themselves_is_written_over(phone: TlsPhone) -> None:
    claims = ("X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: http", "X-Real-IP: 6")
    others = ("Forwarded: for=6.6.6.6", "X-Forwarded-Host: evil.cn", "x_y: 1")

    echo = phone.ask("/echo", *claims, *claims, *others).answer().echo

    assert echo["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"
    assert echo["HTTP_X_FORWARDED_PROTO"] == "https"
    assert echo["HTTP_HOST"] == HOST
    odd = {"HTTP_X_REAL_IP", "HTTP_FORWARDED", "HTTP_X_FORWARDED_HOST", "HTTP_X_Y"}
    assert not odd & set(echo)


def test_a_field_may_be_as_large_as_the_app_takes(phone: TlsPhone) -> None:
    echo = phone.ask("/echo", f"A: {'b' * 16_000}").answer().echo

    assert echo["HTTP_A"] == "b" * 16_000


def test_connections_to_us_are_used_again(front: Front, phone: TlsPhone) -> None:
    assert phone.ask("/ignore").answer().status == 200
    echo = phone.ask("/echo").answer().echo

    assert "HTTP_CONNECTION" not in echo
    assert echo["SERVER_PROTOCOL"] == "HTTP/1.1"


def test_a_body_in_pieces_arrives_whole(phone: TlsPhone) -> None:
    head = b"POST /echo HTTP/1.1\r\n" + FIELD + b"Transfer-Encoding: chunked\r\n\r\n"
    for piece in (head, b"2\r\nab\r\n", b"1\r\nc\r\n0\r\n\r\n"):
        phone.send(piece)
        sleep(0.02)

    echo = phone.answer().echo
    assert (echo["body"], echo["HTTP_TRANSFER_ENCODING"]) == ("abc", "chunked")


def drip(phone: TlsPhone, begin: bytes, drop: bytes) -> Answer:
    """Send a body that does not end until there is an answer."""
    phone.send(begin)
    phone.socket.settimeout(0.1)
    for _ in range(PATIENCE_S * 10):
        phone.send(drop)
        with suppress(TimeoutError):
            return phone.answer()
    pytest.fail("nobody has had enough")


JSON = b"Content-Type: application/json\r\n"
FRAMED = {
    "declared": (b"Content-Length: 900\r\n\r\n", b" "),
    "chunked": (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
}


@pytest.mark.parametrize(("framing", "drop"), FRAMED.values(), ids=FRAMED)
@pytest.mark.parametrize(
    ("path", "told"),
    [(b"/strict", (408, b"too slow")), (b"/ignore", (200, b"ignored"))],
    ids=["the deadline", "an early answer"],
)
def test_drops_buy_a_body_no_more_time(
    phone: TlsPhone, framing: bytes, drop: bytes, path: bytes, told: tuple[int, bytes]
) -> None:
    head = b"POST " + path + b" HTTP/1.1\r\n" + FIELD + JSON + framing

    answer = drip(phone, head, drop)

    assert (answer.status, answer.body) == told


def test_bare_line_feeds_are_written_anew_before_we_see_them(phone: TlsPhone) -> None:
    head = b"POST /echo HTTP/1.1\n" + FIELD.replace(b"\r", b"") + b"A: b\n"

    phone.send(head + b"Content-Length: 2\n\n\n\n")

    # Our own server refuses a head with bare ones, so this one had none.
    echo = phone.answer().echo
    assert (echo["HTTP_A"], echo["HTTP_HOST"], echo["body"]) == ("b", HOST, "\n\n")


AMBIGUOUS = {
    "length and chunks": b"POST /echo HTTP/1.1\r\n" + FIELD + b"Content-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two Hosts": b"GET /echo HTTP/1.1\r\n" + FIELD + b"Host: evil.cn\r\n\r\n",
    "no Host": b"GET /echo HTTP/1.1\r\n\r\n",
    "two lengths": b"POST /echo HTTP/1.1\r\n" + FIELD + b"Content-Length: 1\r\n"
    b"Content-Length: 2\r\n\r\nab",
    "bad chunk": b"POST /echo HTTP/1.1\r\n"
    + FIELD
    + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "control byte": b"GET /echo HTTP/1.1\r\n" + FIELD + b"A: \x00\r\n\r\n",
    "large field": b"GET /echo HTTP/1.1\r\n" + FIELD + b"A: " + b"b" * 40_000,
    "long line": b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n" + FIELD + b"\r\n",
    "no HTTP": b"\x16\x03\x01\x02\r\n\r\n",
}


@pytest.mark.parametrize("data", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_what_two_servers_read_differently_ends_here(
    front: Front, phone: TlsPhone, data: bytes
) -> None:
    answer = phone.send(data).answer()

    assert answer.status == 400
    assert_own(answer.echo, "validation_failed")
    assert phone.ended()


@pytest.mark.parametrize(
    "data",
    [
        b"Content-Length: 65537\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + b"8000\r\n%b\r\n" % (b" " * 32_768) * 3,
    ],
    ids=["declared", "chunked"],
)
def test_a_large_body_is_refused_in_our_words(phone: TlsPhone, data: bytes) -> None:
    with suppress(ConnectionError):
        phone.send(b"POST /echo HTTP/1.1\r\n" + FIELD + data)

    answer = phone.answer()

    assert answer.status == 413
    assert_own(answer.echo, "body_too_large")
    assert answer.fields["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("length", ["Content-Length: 70000", "Content-Length:"])
def test_a_large_body_over_http_2_is_refused_in_our_words(
    front: Front, length: str
) -> None:
    require(find_curl)
    sends = ("--data-binary", "@-", "--header", length)

    answer = front.http2("/echo", *sends, said=b" " * 70_000)

    assert (answer.status, answer.fields["version"]) == (413, "2")
    assert_own(answer.echo, "body_too_large")


@pytest.mark.parametrize(
    ("place", "size"),
    [("line", 5000), ("line", 30_000), ("field", 17_000), ("field", 30_000)],
)
def test_a_long_line_or_field_over_http_2_is_answered(
    front: Front, place: str, size: int
) -> None:
    require(find_curl)
    long = "a" * size
    path, fields = (f"/{long}", ()) if place == "line" else ("/", ("-H", f"A: {long}"))

    answer = front.http2(path, *fields)

    # Refused by our own server, in its words.
    assert (answer.status, answer.body) == (400, b"validation_failed")


def assert_own(envelope: dict[str, Any], reason: str) -> None:
    """Whether nginx speaks like the app."""
    assert envelope["reason"] == reason
    assert envelope["data"] is None
    assert envelope["request_id"].startswith("rq_")
    assert envelope["server_time"] > 1_700_000_000_000


def test_the_place_of_its_own_answers_is_not_to_be_asked_for(phone: TlsPhone) -> None:
    answer = phone.ask("/own_answer").answer()

    assert answer.status == 404
    assert_own(answer.echo, "not_found")


def test_http_2_is_spoken(front: Front) -> None:
    context = trusting(front.nginx.root)
    context.set_alpn_protocols(["h2", "http/1.1"])
    phone = front.phone(context)
    assert phone.tls.selected_alpn_protocol() == "h2"

    # Indexed :method GET and :scheme https; :path and :authority written out.
    head = b"\x82\x87\x04\x05/echo\x01" + bytes([len(HOST)]) + HOST.encode()
    frames = b"\0\0\0\4\0\0\0\0\0" + len(head).to_bytes(3) + b"\1\5\0\0\0\1" + head
    phone.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frames)

    body = b""
    while not body:
        size, kind = int.from_bytes(phone._exactly(3)), phone._exactly(6)[0]
        payload = phone._exactly(size)
        body = payload if kind == 0 else b""
    assert json.loads(body)["HTTP_HOST"] == HOST
    phone.socket.close()


def test_plain_http_is_sent_on_or_closed(front: Front) -> None:
    browser = Phone(front.nginx.plain_port).send(
        b"GET /a?b HTTP/1.1\r\n" + FIELD + b"\r\n"
    )
    answer = browser.answer()
    assert answer.status == 308
    assert answer.fields["location"] == f"https://{HOST}/a?b"
    browser.socket.close()

    phone = Phone(front.nginx.plain_port)
    phone.send(b"POST /a HTTP/1.1\r\n" + FIELD + b"Content-Length: 0\r\n\r\n")
    assert phone.ended()
    phone.socket.close()


def test_plain_http_at_the_tls_port_is_told(front: Front) -> None:
    phone = Phone(front.nginx.tls_port).send(b"GET / HTTP/1.1\r\n" + FIELD + b"\r\n")

    answer = phone.answer()

    assert answer.status == 400
    assert "strict-transport-security" not in answer.fields
    phone.socket.close()


def test_silent_clients_are_closed_while_others_are_served(front: Front) -> None:
    head = b"POST /strict HTTP/1.1\r\n" + FIELD + JSON
    silent = [front.phone().send(said) for said in (b"", head)]
    halves = (
        b"Content-Length: 5\r\n\r\na",
        b"Transfer-Encoding: chunked\r\n\r\n1\r\n",
    )
    half = [front.phone().send(head + said) for said in halves]
    other = front.phone()
    assert other.ask("/ignore").answer().status == 200
    other.socket.close()

    for phone in half:
        assert phone.answer().status == 408
    for phone in silent + half:
        # Longer than the longest of nginx's patiences.
        phone.socket.settimeout(40)
        assert phone.ended()
        phone.socket.close()


def test_an_upstream_that_is_away_is_told_and_nothing_written_down(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    require(find_nginx)
    # Nobody listens there.
    nginx = NginxServer(tmp_path_factory.mktemp("away"), upstream=1)
    nginx.start()
    phone = Front(nginx).phone()
    secret = "canary-5f0b"
    fields = (f"Authorization: Bearer {secret}", f"Referer: https://{secret}/")
    answer = phone.ask(f"/{secret}?token={secret}", *fields).answer()
    phone.socket.close()
    nginx.stop()

    assert answer.status == 503
    assert_own(answer.echo, "unavailable")
    assert answer.fields["retry-after"] == "1"
    line = json.loads(nginx.log().splitlines()[-1])
    assert (line["status"], line["upstream_status"]) == (503, "502")
    assert secret not in nginx.log()
    assert "127.0.0.1" not in nginx.log()
