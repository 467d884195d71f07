"""From data or a refusal to the bytes of the envelope every client gets.

The outer shape is a `Dialect`; only ``rest`` exists now, so `REST` is its one value.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from flask import Response
from werkzeug.datastructures import Headers, MIMEAccept
from werkzeug.http import HTTP_STATUS_CODES, parse_accept_header

from config.clock import MS_PER_S, now_ms
from config.metrics.requests import HTTP_ERRORS
from models.errors import FieldFault
from web.errors import Refusal, language_of, localised

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from web.routes import File, Lines
    from web.visit import Visit

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
_encode: Final = msgspec.json.Encoder().encode
_STATUS_LINES: Final = {
    code: f"{code} {name.upper()}" for code, name in HTTP_STATUS_CODES.items()
}


class Success(msgspec.Struct):
    """The envelope of an answer that worked."""

    data: Any
    request_id: str
    server_time: int
    code: int = 0
    msg: str = "ok"


class Failure(msgspec.Struct):
    """The envelope of an error; ``reason`` is what clients decide by."""

    code: int
    msg: str
    reason: str
    action: str
    request_id: str
    server_time: int
    data: Any = None
    retry_after_ms: int | msgspec.UnsetType = msgspec.UNSET
    errors: list[FieldFault] | msgspec.UnsetType = msgspec.UNSET


class Answer(Response):
    """A finished JSON body; skips the header work werkzeug does for each response.

    That work (parsing and repairing what we have just written) costs as much as a
    small view. `headers` is made only for those who ask for it.
    """

    def __init__(self, status: int, body: bytes) -> None:
        self._status_code = status
        self._status = _STATUS_LINES[status]
        self._on_close = []
        self._parts = self.response = [body]

    @cached_property
    def headers(self) -> Headers:  # type: ignore[override]
        """The headers, as a view that may add to them."""
        return Headers(self._plain_headers())

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Send status and headers as they are; the body unless it was a HEAD."""
        touched = "headers" in self.__dict__
        headers = self.headers.to_wsgi_list() if touched else self._plain_headers()
        start_response(self._status, headers)
        return () if environ["REQUEST_METHOD"] == "HEAD" else self._parts

    def _plain_headers(self) -> list[tuple[str, str]]:
        length = sum(map(len, self._parts))
        return [("Content-Type", JSON), ("Content-Length", str(length))]


class LineAnswer(Answer):
    """An answer of lines that are not there yet; its length is nobody's to know."""

    def __init__(self, lines: Lines) -> None:
        super().__init__(200, b"")
        self._lines = lines

    def __call__(
        self, _: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Send the head, and leave the lines to the server; it closes them."""
        start_response(self._status, self._plain_headers())
        return self._lines.source

    def _plain_headers(self) -> list[tuple[str, str]]:
        # nginx would gather the lines until its buffer is full.
        own = [("Content-Type", NDJSON), ("X-Accel-Buffering", "no")]
        return [*own, *self._lines.headers]


class FileAnswer(Answer):
    """A file that is read while it is sent; a client that hangs up ends it."""

    def __init__(self, file: File) -> None:
        super().__init__(200, b"")
        self._file = file

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Send the head, and leave the pieces to the server."""
        start_response(self._status, self._plain_headers())
        return () if environ["REQUEST_METHOD"] == "HEAD" else self._file.pieces

    def _plain_headers(self) -> list[tuple[str, str]]:
        file = self._file
        return [
            ("Content-Type", file.content_type),
            ("Content-Length", str(file.size)),
            ("Content-Disposition", f'attachment; filename="{file.name}"'),
        ]


class Dialect(Protocol):
    """How one app's front end wants the envelope; handlers never know which."""

    def success(self, visit: Visit, data: object) -> Answer:
        """Return the answer that carries ``data``."""

    def stream(self, visit: Visit, lines: Lines) -> Answer:
        """Return the answer that sends ``lines`` as they come."""

    def file(self, visit: Visit, file: File) -> Answer:
        """Return the answer that sends ``file``."""

    def failure(self, visit: Visit, refusal: Refusal) -> Answer:
        """Return the answer that tells ``refusal``."""


class RestDialect:
    """HTTP 200 and code 0 for success, truthful HTTP statuses for errors."""

    def success(self, visit: Visit, data: object) -> Answer:
        """Return the envelope around ``data`` (Struct, plain value or ``Raw``)."""
        return Answer(200, _encode(Success(data, visit.request_id, now_ms())))

    def stream(self, visit: Visit, lines: Lines) -> Answer:
        """Return the lines bare: each is a whole of its own, without an envelope."""
        visit.streams = True
        return LineAnswer(lines)

    def file(self, visit: Visit, file: File) -> Answer:
        """Return the file bare: it is saved or shown as it is."""
        visit.streams = True
        return FileAnswer(file)

    def failure(self, visit: Visit, refusal: Refusal) -> Answer:
        """Return the error envelope with its wait, if waiting helps."""
        problem = refusal.problem
        visit.reason = refusal.reason
        HTTP_ERRORS.labels(refusal.reason).inc()
        language = language_of(visit.languages)
        body = Failure(
            code=problem.code,
            msg=problem.zh if language == "zh" else problem.en,
            reason=refusal.reason,
            action=problem.action,
            request_id=visit.request_id,
            server_time=now_ms(),
            data=refusal.data,
        )
        if refusal.faults:
            body.errors = localised(refusal.faults, language)
        if refusal.retry_after_ms is not None:
            body.retry_after_ms = refusal.retry_after_ms
        answer = Answer(problem.status, _encode(body))
        if refusal.retry_after_ms is not None:
            seconds = -(-refusal.retry_after_ms // MS_PER_S)
            answer.headers.add("Retry-After", str(max(1, seconds)))
        if problem.status == 401:  # noqa: PLR2004 -- RFC 9110 11.6.1 asks for it
            answer.headers.add("WWW-Authenticate", "Bearer")
        return answer


def wants_lines(accept: str) -> bool:
    """Whether an Accept header names our line format, no later than plain JSON.

    Wildcards do not ask for a stream: most clients send one with every request.
    """
    if NDJSON not in accept.lower():
        return False
    wanted = {
        name.partition(";")[0].rstrip().lower(): quality
        for name, quality in parse_accept_header(accept, MIMEAccept)
    }
    return 0 < wanted.get(NDJSON, 0) >= wanted.get(JSON, 0)


REST: Final[Dialect] = RestDialect()
