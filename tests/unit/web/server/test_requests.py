"""From bytes to environ: however they are cut, the same request or the same refusal."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidInput
from web.idempotency import read_key
from web.server.environ import BodyReader, new_environ
from web.server.requests import Incoming, Refused, RequestLimits, RequestParser

LIMITS = RequestLimits()
HOST = b"Host: x\r\n"
TOKENS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)


def parse(data: bytes, cuts: list[int] | None = None) -> list[Incoming]:
    parser = RequestParser(LIMITS)
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts or [])})
    for start, end in pairwise(edges):
        parser.feed(data[start:end])
    return parser.requests


def environ_of(data: bytes) -> dict[str, Any]:
    return new_environ({"REMOTE_ADDR": "1.2.3.4"}, parse(data)[0])


def get(target: bytes = b"/", *fields: bytes, version: bytes = b"1.1") -> bytes:
    head = b"GET %b HTTP/%b\r\n" % (target, version)
    return head + HOST + b"".join(f + b"\r\n" for f in fields) + b"\r\n"


@given(
    path=st.lists(TOKENS, max_size=4),
    fields=st.dictionaries(TOKENS.map("x-{}".format), VALUES, max_size=6),
    body=st.binary(max_size=200),
    chunked=st.booleans(),
    cuts=st.lists(st.integers(0, 2000), max_size=8),
)
def test_cuts_in_the_stream_change_nothing(
    path: list[str],
    fields: dict[str, str],
    body: bytes,
    cuts: list[int],
    *,
    chunked: bool,
) -> None:
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d"
    framing = framing if chunked else framing % len(body)
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    sent = chunk + b"0\r\n\r\n" if chunked else body
    head = b"POST /%b HTTP/1.1\r\n" % "/".join(path).encode() + HOST + framing
    lines = [f"{name}: {value}".encode() for name, value in fields.items()]
    one = b"\r\n".join([head, *lines]) + b"\r\n\r\n" + sent

    requests = parse(one * 2, cuts)

    assert len(requests) == 2
    for request in requests:
        assert request.complete
        assert bytes(request.body) == body
        environ = new_environ({}, request)
        assert environ["PATH_INFO"] == "/" + "/".join(path)
        for name, value in fields.items():
            key = f"HTTP_{name.upper().replace('-', '_')}"
            assert environ[key] == value.strip()


@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=4))
def test_any_bytes_are_a_request_or_refused(data: bytes, cuts: list[int]) -> None:
    reason = ""
    try:
        for request in parse(data, cuts):
            if request.headed:
                new_environ({}, request)
    except Refused as refused:
        reason = refused.reason

    assert reason in {"", "validation_failed", "method_not_allowed"}


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/a?b=c?d", "/a", "b=c?d"),
        (b"/%E5%BF%AB?q=%20", "/\xe5\xbf\xab", "q=%20"),
        (b"//a//b", "//a//b", ""),
        (b"http://x/a?b", "/a", "b"),
        (b"HTTPS://x", "/", ""),
        (b"http://x?q", "/", "q"),
        (b"/a%00b", "/a\x00b", ""),
        (b"/?", "/", ""),
    ],
)
def test_target_becomes_path_and_query(target: bytes, path: str, query: str) -> None:
    environ = environ_of(get(target))

    assert environ["PATH_INFO"] == path
    assert environ["QUERY_STRING"] == query
    assert environ["REMOTE_ADDR"] == "1.2.3.4"


REFUSED = {
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": get(b"/", b"Host: y"),
    "two types": get(b"/", b"Content-Type: a", b"Content-Type: b"),
    "length and chunks": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two codings": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding twice": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "negative length": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -2\r\n\r\n{}",
    "bad chunk": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "folded field": get(b"/", b"A: b\r\n c"),
    "space before colon": get(b"/", b"A : b"),
    "underscore": get(b"/", b"X_Y: 1"),
    "control byte": get(b"/", b"A: b\x01c"),
    "line break in a field": get(b"/", b"A: b\rc"),
    "NUL in a field": get(b"/", b"A: b\x00c"),
    "byte above ASCII in the target": get(b"/\xff"),
    "asterisk": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "authority": get(b"x:80"),
    "other scheme": get(b"ftp://x/"),
    "tunnel": b"CONNECT x:1 HTTP/1.1\r\n" + HOST + b"\r\n",
    "user name in the target": get(b"http://x@y/"),
    "nobody in the target": get(b"http:///a"),
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2": get(b"/", version=b"2.0"),
    "HTTP/2, straight": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.2": get(b"/", version=b"1.2"),
    "bare line feeds": get(b"/").replace(b"\r\n", b"\n"),
    "one bare line feed": get(b"/", b"A: b\nC: d"),
    "bare line feed in chunks": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
    "long target": get(b"/" + b"a" * 4094),
    "many fields": get(b"/", *(b"a%d: b" % n for n in range(51))),
    "large field": get(b"/", b"a: " + b"b" * 16_384),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_refuses_what_two_servers_could_read_differently(data: bytes) -> None:
    with pytest.raises(Refused):
        environ_of(data)


def test_a_method_nobody_knows_has_its_own_reason() -> None:
    with pytest.raises(Refused) as refused:
        parse(b"FOO / HTTP/1.1\r\n" + HOST + b"\r\n")

    assert refused.value.reason == "method_not_allowed"


def test_a_head_without_end_is_refused() -> None:
    parser = RequestParser(LIMITS)
    parser.feed(b"GET / HTTP/1.1\r\nA: ")

    fed = 0
    with pytest.raises(Refused, match="head"):  # noqa: PT012 - which feed is not said
        while fed < 100_000:
            fed += 1000
            parser.feed(b"b" * 1000)
    assert fed < 40_000


def test_the_bound_of_a_head_does_not_count_bodies() -> None:
    parser = RequestParser(LIMITS)
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 200000\r\n\r\n"
    parser.feed(head)
    for _ in range(200):
        parser.feed(b"x" * 1000)

    assert parser.requests[0].complete


def test_repeated_fields_of_lists_are_joined() -> None:
    environ = environ_of(get(b"/", b"X-Forwarded-For: 1", b"x-forwarded-for: 2"))

    assert environ["HTTP_X_FORWARDED_FOR"] == "1, 2"


def test_two_keys_are_no_key() -> None:
    one = environ_of(get(b"/", b"Idempotency-Key: a,b"))
    two = environ_of(get(b"/", b"Idempotency-Key: a", b"Idempotency-Key: b"))

    assert read_key(one) == "a,b"
    with pytest.raises(InvalidInput):
        read_key(two)


def test_the_host_is_the_targets_if_it_names_one() -> None:
    assert environ_of(get(b"http://evil.cn:81/a"))["HTTP_HOST"] == "evil.cn:81"
    assert environ_of(get(b"/a"))["HTTP_HOST"] == "x"


def test_a_value_keeps_blanks_that_are_none_of_the_protocols() -> None:
    environ = environ_of(get(b"/", b"Authorization:\t Bearer a.b.c\xa0 "))

    assert environ["HTTP_AUTHORIZATION"] == "Bearer a.b.c\xa0"


CHUNKS = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"


def test_a_body_in_the_smallest_chunks_is_taken() -> None:
    parser = RequestParser(LIMITS)
    parser.feed(CHUNKS)
    for _ in range(65_536):
        parser.feed(b"1\r\nx\r\n")
    parser.feed(b"0\r\n\r\n")

    assert parser.requests[0].complete
    assert len(parser.requests[0].body) == 65_536


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        (b"0\r\n", b"A: b\r\n"),
        (b"2\r\n{}\r\n0\r\nA: ", b"b" * 1000),
        (b"2;a=", b"b" * 1000),
        (b"", b"1;" + b"b" * 1000 + b"\r\nx\r\n"),
    ],
    ids=["trailers", "one trailer", "one extension", "extensions"],
)
def test_framing_without_end_is_refused(begin: bytes, again: bytes) -> None:
    parser = RequestParser(LIMITS)
    parser.feed(CHUNKS)
    parser.feed(begin)

    fed = 0
    with pytest.raises(Refused, match="framing"):  # noqa: PT012 - which feed is not said
        while fed < 200_000:
            fed += len(again)
            parser.feed(again)
    assert fed < 70_000


def test_a_trailer_never_passes_for_a_field_of_the_head() -> None:
    data = (
        b"POST / HTTP/1.1\r\n"
        + HOST
        + b"X-Forwarded-For: 1.1.1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"2\r\n{}\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\nAuthorization: Bearer x\r\n\r\n"
    )

    for cuts in ([], [len(data) - 80]):
        (request,) = parse(data, cuts)
        environ = new_environ({}, request)
        assert request.complete
        assert environ["HTTP_X_FORWARDED_FOR"] == "1.1.1.1"
        assert "HTTP_AUTHORIZATION" not in environ


def test_an_offer_to_upgrade_is_ignored() -> None:
    (request,) = parse(get(b"/", b"Upgrade: websocket", b"Connection: Upgrade"))

    assert request.complete
    assert not request.keeps_alive


H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n"
FRAMED = {
    "length": (b"Content-Length: 5\r\n", b"hello"),
    "chunks": (b"Transfer-Encoding: chunked\r\n", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize(("framing", "body"), FRAMED.values(), ids=FRAMED)
@pytest.mark.parametrize("offer_first", [True, False])
def test_a_body_beside_an_offer_to_upgrade_is_read_as_it_is_framed(
    framing: bytes, body: bytes, *, offer_first: bool
) -> None:
    fields = H2C + framing if offer_first else framing + H2C
    data = b"POST /a?b HTTP/1.1\r\n" + HOST + fields + b"\r\n" + body

    for cut in range(len(data)):
        (request,) = parse(data, [cut])
        assert (request.complete, bytes(request.body)) == (True, b"hello")
        assert (request.method, request.target) == ("POST", b"/a?b")
        assert not request.keeps_alive
        assert "HTTP_UPGRADE" not in new_environ({}, request)
    (request,) = parse(data[:-1])
    assert not request.complete


SMUGGLED = {
    "after the body": b"Content-Length: 5\r\n\r\nhello",
    "after no body": b"\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello",
    "length and chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"0\r\n\r\n",
    "kept alive": b"Connection: keep-alive\r\n\r\n",
}


@pytest.mark.parametrize("head", SMUGGLED.values(), ids=SMUGGLED)
def test_nothing_comes_in_behind_an_offer_to_upgrade(head: bytes) -> None:
    data = b"POST /a HTTP/1.1\r\n" + HOST + H2C + head

    with pytest.raises(Refused):
        parse(data + get(b"/hidden"))


def test_a_tunnel_is_refused_with_an_offer_too() -> None:
    with pytest.raises(Refused):
        parse(b"CONNECT x:1 HTTP/1.1\r\n" + HOST + H2C + b"\r\n")


@pytest.mark.parametrize(
    ("version", "fields", "keeps"),
    [
        (b"1.1", [], True),
        (b"1.1", [b"Connection: close"], False),
        (b"1.0", [], False),
        (b"1.0", [b"Connection: keep-alive"], True),
    ],
)
def test_connection_goes_on_as_the_client_wishes(
    version: bytes, fields: list[bytes], *, keeps: bool
) -> None:
    (request,) = parse(get(b"/", *fields, version=version))

    assert request.keeps_alive is keeps


def test_an_old_client_needs_no_host() -> None:
    assert environ_of(b"GET /a HTTP/1.0\r\n\r\n")["PATH_INFO"] == "/a"


def test_names_of_clients_do_not_fill_the_memory() -> None:
    for n in range(500):
        environ = environ_of(get(b"/", b"X-N%d: v" % n))
        assert environ[f"HTTP_X_N{n}"] == "v"


def pieces(request: Incoming, parts: list[bytes]) -> BodyReader:
    """Return a reader whose socket brings ``parts`` and then hangs up."""

    def pull() -> bool:
        if not parts:
            return False
        request.body += parts.pop(0)
        request.complete = not parts
        return True

    return BodyReader(request, pull)


@given(
    parts=st.lists(st.binary(min_size=1, max_size=20), max_size=6),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=10),
)
def test_a_body_is_read_whole_in_any_steps(
    parts: list[bytes], sizes: list[int]
) -> None:
    whole, request = b"".join(parts), Incoming(complete=not parts)
    reader = pieces(request, list(parts))

    read = b"".join(reader.read(size) for size in sizes) + reader.read()

    assert read == whole
    assert reader.read(1) == b""


def test_a_client_that_hangs_up_ends_the_body() -> None:
    request = Incoming()
    reader = BodyReader(request, lambda: False)

    assert reader.read(10) == b""
