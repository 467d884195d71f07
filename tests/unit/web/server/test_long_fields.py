"""A field of the head may be longer than any token of ours."""

from __future__ import annotations

from base64 import b64encode

from web.server.requests import RequestLimits, RequestParser


def test_a_token_with_a_key_id_of_10_kb_gets_as_far_as_its_check() -> None:
    header = b64encode(b'{"alg":"HS256","typ":"JWT","kid":"%b"}' % (b"k" * 10_000))
    parser = RequestParser(RequestLimits())

    parser.feed(b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b" % header)
    parser.feed(b".%b\r\n\r\n" % (b"a" * 400))

    assert parser.requests[0].complete
