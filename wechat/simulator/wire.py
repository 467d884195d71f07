"""Requests and replies as the simulator's handlers see them, without any network.

`server` and `transport` make the requests; `engine` runs the handlers between.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import orjson

JSON_TYPE: Final = b"application/json; encoding=utf-8"
TEXT_TYPE: Final = b"text/plain"
HTML_TYPE: Final = b"text/html"
_ESCAPE = re.compile(rb"\\u[0-9a-fA-F]{4}")


class Request(NamedTuple):
    """One request, query decoded, body whole."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes


class Reply(NamedTuple):
    """One answer as it goes on the wire."""

    status: int
    body: bytes
    content_type: bytes = JSON_TYPE


class Refused(Exception):
    """WeChat's refusal of a call: errcode and the words before the request id."""

    def __init__(self, errcode: int, errmsg: str) -> None:
        super().__init__(f"{errcode} {errmsg}")
        self.errcode = errcode
        self.errmsg = errmsg


def json_reply(found: dict[str, Any], content_type: bytes = JSON_TYPE) -> Reply:
    """Return a business answer: HTTP 200 whatever it says."""
    return Reply(200, orjson.dumps(found), content_type)


def needed(request: Request, name: str, errcode: int) -> str:
    """Return a query parameter or refuse with the errcode of its absence."""
    value = request.query.get(name, "")
    if not value:
        raise Refused(errcode, f"{name} missing")
    return value


def json_body(request: Request, *, escapes: bool = True) -> dict[str, Any]:
    """Return the body's object; refuses with 43002, 44002 or 47001.

    ``escapes`` False refuses escaped characters as the message APIs do, to catch
    encoders that do not send raw UTF-8.
    """
    if request.method != "POST":
        raise Refused(43002, "require POST method")
    if not request.body:
        raise Refused(44002, "empty post data")
    if not escapes and _ESCAPE.search(request.body):
        raise Refused(47001, "data format error: unicode escapes")
    try:
        found = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise Refused(47001, "data format error") from None
    if not isinstance(found, dict):
        raise Refused(47001, "data format error")
    return found


def text_field(body: dict[str, Any], name: str, errcode: int) -> str:
    """Return a text field of a body or refuse with the errcode of its absence."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(errcode, f"{name} missing")
    return value
