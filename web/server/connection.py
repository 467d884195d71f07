"""One keep-alive connection: requests in order, each wait bounded.

`web/server/worker.py` opens one for each client; parsing and writing have their own
files beside this one.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from config.clock import monotonic
from web.server.environ import LINE_KEY, BodyReader, new_environ
from web.server.requests import (
    REFUSED_KEY,
    Incoming,
    Refused,
    RequestLimits,
    RequestParser,
)
from web.server.responses import ResponseWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

# Linux has them; without them a client that is gone shows at a failed write.
_TCP_INFO: Final = getattr(socket, "TCP_INFO", None)
_TCP_USER_TIMEOUT: Final = getattr(socket, "TCP_USER_TIMEOUT", None)
# The states CLOSE and CLOSE_WAIT of tcp_info.
_OTHER_SIDE_CLOSED: Final = frozenset({7, 8})
CHUNK: Final = 65_536
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
# An idle connection looks this often whether its worker was told to stop.
IDLE_LOOK_S: Final = 1.0
# Bytes and seconds of a refused body we still read, so that the client reads our
# answer before it meets the closed connection.
LINGER_BYTES: Final = 262_144
LINGER_S: Final = 0.5


class Worker(Protocol):
    """What a connection needs of gunicorn's worker."""

    alive: bool
    wsgi: WsgiApp
    cfg: Any

    @property
    def hurries(self) -> bool:
        """Whether idle connections are to end now."""

    def count_request(self) -> None:
        """Count one request towards the worker's end."""


class Connection:
    """One keep-alive connection."""

    def __init__(
        self, worker: Worker, client: socket.socket, base: dict[str, Any]
    ) -> None:
        self._worker = worker
        self._app: WsgiApp = worker.wsgi
        self._client = client
        self._base = base
        self._served = False
        self._keepalive_s = float(worker.cfg.keepalive)
        self._write_s = float(worker.cfg.timeout)
        self._parser = RequestParser(
            RequestLimits(
                line=worker.cfg.limit_request_line,
                fields=worker.cfg.limit_request_fields,
                field=worker.cfg.limit_request_field_size,
            )
        )

    def serve(self) -> None:
        """Answer requests in order until either side has had enough."""
        going = True
        while going:
            try:
                request = self._next()
                if request is None:
                    return
                environ = new_environ(self._base, request)
            except Refused as refused:
                self._refuse(refused)
                return
            going = self._answer(request, environ)

    def leaving(self) -> bool:
        """Whether the worker serves what it has and then ends."""
        return not self._worker.alive

    def hung_up(self) -> bool:
        """Whether the client has closed its side; False where nobody can tell."""
        if _TCP_INFO is None:
            return False
        try:
            # One system call that neither waits nor takes what may have arrived.
            state = self._client.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0]
        except OSError:
            # A unix socket, or closed by ourselves.
            return self._client.fileno() < 0
        return state in _OTHER_SIDE_CLOSED

    def bound_silence(self) -> None:
        """End the connection when a client takes nothing we send for too long.

        A phone that lost its network says no farewell: without this the system
        repeats a heartbeat for a quarter of an hour.
        """
        if _TCP_USER_TIMEOUT is not None:
            with suppress(OSError):
                self._client.setsockopt(
                    socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, int(self._write_s * 1000)
                )

    def _next(self) -> Incoming | None:
        """Wait for a whole head; None when the client or the patience is gone."""
        requests = self._parser.requests
        now = monotonic()
        until = now + self._keepalive_s
        # A stopping worker may have accepted this connection just now: its request is
        # on the way, and nobody else will hear it. One that retires closes no idle
        # connection before its time: a request might cross the farewell.
        stays = now if self._served else now + IDLE_LOOK_S
        while not requests or not requests[0].headed:
            now = monotonic()
            leaves = self._worker.hurries and not requests and now >= stays
            if now >= until or leaves:
                return None
            self._client.settimeout(min(until - now, IDLE_LOOK_S))
            try:
                data = self._client.recv(CHUNK)
            except TimeoutError:
                continue
            if not data:
                return None
            self._parser.feed(data)
        return requests[0]

    def _answer(self, request: Incoming, environ: dict[str, Any]) -> bool:
        worker = self._worker
        worker.count_request()
        self._served = True
        closes = not (request.keeps_alive and worker.alive)
        writer = ResponseWriter(
            self._send,
            is_head=request.method == "HEAD",
            closes=closes,
            old=request.version == "1.0",
        )
        environ["wsgi.input"] = BodyReader(request, self._puller(environ))
        environ[LINE_KEY] = self
        self._run(environ, writer, request)
        self._parser.requests.remove(request)
        if not request.complete:
            self._linger()
            return False
        return not writer.closes

    def _run(
        self, environ: dict[str, Any], writer: ResponseWriter, request: Incoming
    ) -> None:
        body = self._app(environ, writer.start_response)
        # The rest of the body would be read as the next request; a worker that began
        # to leave meanwhile takes none.
        writer.closes |= not (request.complete and self._worker.alive)
        writer.send(body)

    def _puller(self, environ: dict[str, Any]) -> Callable[[], bool]:
        # An HTTP/1.0 client would take the interim answer for the answer.
        continues = (
            environ.get("HTTP_EXPECT", "").lower() == "100-continue"
            and environ["SERVER_PROTOCOL"] != "HTTP/1.0"
        )

        def pull() -> bool:
            nonlocal continues
            if continues:
                continues = False
                self._send(CONTINUE)
            # The app bounds the whole body; this bounds one silence in it.
            self._client.settimeout(self._write_s)
            data = self._client.recv(CHUNK)
            if data:
                try:
                    self._parser.feed(data)
                except Refused as refused:
                    raise OSError(str(refused)) from refused
            return bool(data)

        return pull

    def _send(self, data: bytes) -> None:
        self._client.settimeout(self._write_s)
        self._client.sendall(data)

    def _refuse(self, refused: Refused) -> None:
        """Let the app answer in its own words; the connection ends."""
        environ = self._base | {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "",
            "QUERY_STRING": "",
            REFUSED_KEY: refused.reason,
        }
        writer = ResponseWriter(self._send, is_head=False, closes=True, old=False)
        writer.send(self._app(environ, writer.start_response))
        self._linger()

    def _linger(self) -> None:
        until, read = monotonic() + LINGER_S, 0
        with suppress(OSError):
            self._client.shutdown(1)
        while read < LINGER_BYTES and (left := until - monotonic()) > 0:
            self._client.settimeout(left)
            data = self._client.recv(CHUNK)
            if not data:
                return
            read += len(data)
