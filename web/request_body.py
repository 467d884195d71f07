"""Reading a request body: type, coding, bounded size and time; then strict JSON.

The body arrives through `wsgi.input`; which server stands behind it does not matter.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType
from werkzeug.http import parse_options_header

from config.clock import Deadline
from models.errors import InvalidInput, KuaidaError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

# Without gevent a single read can only be interrupted between steps of this size.
STEP_BYTES: Final = 4096
_MAX_LENGTH_DIGITS: Final = 12
# An empty field says nothing (RFC 9110 5.6.1).
_PLAIN_CODINGS: Final = frozenset({"", "identity"})
_UTF8: Final = frozenset({"utf-8", "utf8"})


class BodyTimeout(KuaidaError):
    """The body did not arrive in the time a body gets."""

    reason = "request_timeout"


class Stream(Protocol):
    """What we use of `wsgi.input`."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes; empty at the end."""


def read_body(environ: dict[str, Any], *, limit: int, seconds: float) -> bytes:
    """Return the whole JSON body of at most ``limit`` bytes.

    Raises 415 before and 413 while reading, `BodyTimeout` after ``seconds``, and
    `InvalidInput` when the client hung up in the middle.
    """
    _check_form(environ)
    return _read_whole(environ, limit, seconds)


def read_optional_body(environ: dict[str, Any], *, limit: int, seconds: float) -> bytes:
    """Return the JSON body, empty when none was sent; raises like `read_body`.

    Only a body that is there must have the right type and coding.
    """
    body = _read_whole(environ, limit, seconds)
    if body:
        _check_form(environ)
    return body


def _read_whole(environ: dict[str, Any], limit: int, seconds: float) -> bytes:
    length = _declared_length(environ)
    if length is not None and length > limit:
        raise RequestEntityTooLarge
    # Undeclared means chunked: one byte more than allowed proves it too large.
    wanted = limit + 1 if length is None else length
    stream = environ["wsgi.input"]
    if getattr(stream, "complete", False):
        body = bytes(stream.read(wanted))
    else:
        with _time_limit(seconds):
            body = _read(stream, wanted, seconds)
    if length is None and len(body) > limit:
        raise RequestEntityTooLarge
    if length is not None and len(body) < length:
        raise InvalidInput("body shorter than declared", reason="invalid_json")
    return body


def _check_form(environ: dict[str, Any]) -> None:
    # What is packed is not unpacked: a small body could become a huge one.
    if environ.get("HTTP_CONTENT_ENCODING", "").lower() not in _PLAIN_CODINGS:
        raise UnsupportedMediaType
    content_type = environ.get("CONTENT_TYPE", "")
    if content_type == "application/json":
        return
    kind, options = parse_options_header(content_type)
    charset = options.get("charset", "utf-8").lower()
    if kind.lower() != "application/json" or charset not in _UTF8:
        raise UnsupportedMediaType


def _declared_length(environ: dict[str, Any]) -> int | None:
    text = environ.get("CONTENT_LENGTH", "")
    if text.isascii() and text.isdigit() and len(text) <= _MAX_LENGTH_DIGITS:
        return int(text)
    if text:
        raise RequestEntityTooLarge
    chunked = environ.get("wsgi.input_terminated") or environ.get(
        "HTTP_TRANSFER_ENCODING"
    )
    return None if chunked else 0


def _read(stream: Stream, wanted: int, seconds: float) -> bytes:
    deadline = Deadline.after_ms(seconds * 1000)
    parts: list[bytes] = []
    while wanted > 0:
        try:
            part = stream.read(min(wanted, STEP_BYTES))
        except OSError as error:
            raise InvalidInput("the client hung up", reason="invalid_json") from error
        if not part:
            break
        parts.append(part)
        wanted -= len(part)
        if deadline.expired:
            raise BodyTimeout("body too slow")
    return b"".join(parts)


def _time_limit(seconds: float) -> AbstractContextManager[object]:
    # Only where gevent runs the server is it loaded, and only there can a read that
    # waits for a dripping client be interrupted; this file must not load it itself.
    gevent = sys.modules.get("gevent")
    if gevent is None or not _gevent_serves():
        return _NO_LIMIT
    limit: AbstractContextManager[object] = gevent.Timeout(
        seconds, BodyTimeout("body too slow")
    )
    return limit


def _gevent_serves() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("socket"))


class _Unlimited:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


_NO_LIMIT: Final = _Unlimited()
