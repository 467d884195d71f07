"""From WSGI's status, headers and body to bytes: one write for a finished answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from wsgiref.handlers import format_date_time

from config.clock import MS_PER_S, now_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
    Send = Callable[[bytes], None]

_NO_BODY: Final = ("204", "304")


class _Date:
    """The Date field, written anew once a second (RFC 9110 6.6.1)."""

    def __init__(self) -> None:
        self._second = 0
        self._line = ""

    def line(self) -> str:
        second = now_ms() // MS_PER_S
        if second != self._second:
            self._line = f"Date: {format_date_time(second)}\r\n"
            self._second = second
        return self._line


_DATE: Final = _Date()


class ResponseWriter:
    """Sends one answer; ``closes`` tells whether the connection ends with it."""

    def __init__(self, send: Send, *, is_head: bool, closes: bool, old: bool) -> None:
        self._send = send
        self._is_head = is_head
        self._old = old
        self.closes = closes
        self.started = False
        self._status = ""
        self._headers: list[tuple[str, str]] = []

    def start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: ExcInfo | None = None,
    ) -> Callable[[bytes], None]:
        """Keep status and headers until the first piece of the body (PEP 3333)."""
        if self.started and exc_info:
            raise exc_info[1]
        self._status = status
        self._headers = headers
        return self._send

    def send(self, body: Iterable[bytes]) -> None:
        """Send the head and the whole ``body``, and let the app clean up after it."""
        try:
            self._send_all(body)
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()

    def _send_all(self, body: Iterable[bytes]) -> None:
        if isinstance(body, (list, tuple)) and len(body) <= 1:
            piece = body[0] if body else b""
            head = self._head(len(piece))
            self._send(head if self._is_head else head + piece)
            return
        self._stream(body)

    def _stream(self, body: Iterable[bytes]) -> None:
        head = self._head(None)
        chunked = b"Transfer-Encoding: chunked" in head
        self._send(head)
        if self._is_head:
            return
        for piece in body:
            if piece:
                self._send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            self._send(b"0\r\n\r\n")

    def _head(self, length: int | None) -> bytes:
        self.started = True
        text = f"HTTP/1.1 {self._status}\r\n{_DATE.line()}"
        sized = False
        for name, value in self._headers:
            text += f"{name}: {value}\r\n"
            sized = sized or name.lower() == "content-length"
        if not sized and not self._status.startswith(_NO_BODY):
            text += self._framing(length)
        if self.closes:
            text += "Connection: close\r\n"
        elif self._old:
            # Its client waits for the end of the connection unless told otherwise.
            text += "Connection: keep-alive\r\n"
        return f"{text}\r\n".encode("latin-1")

    def _framing(self, length: int | None) -> str:
        if length is not None:
            return f"Content-Length: {length}\r\n"
        if self._old:
            # HTTP/1.0 knows no chunks: the end of the connection ends the body.
            self.closes = True
            return ""
        return "Transfer-Encoding: chunked\r\n"
