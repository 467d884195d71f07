"""gunicorn's gevent worker with a leaner path from socket to WSGI app.

gunicorn keeps what it is good at: processes, signals, restarts, listening sockets.
Every wait is bounded: for a request, for the rest of its head, for a slow reader.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from gunicorn.workers.ggevent import GeventWorker

from config.clock import monotonic
from web.server.requests import (
    REFUSED_KEY,
    BodyReader,
    Incoming,
    Refused,
    RequestLimits,
    RequestParser,
    new_environ,
)
from web.server.responses import ResponseWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from socket import socket

    WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

CHUNK: Final = 65_536
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
# An idle connection looks this often whether its worker is leaving.
IDLE_LOOK_S: Final = 1.0
# Bytes and seconds of a refused body we still read, so that the client reads our
# answer before it meets the closed connection.
LINGER_BYTES: Final = 262_144
LINGER_S: Final = 0.5


class LeanWorker(GeventWorker):  # type: ignore[misc]  # gunicorn is untyped
    """Serves connections with `web/server`; everything else is gunicorn's."""

    def handle(self, listener: socket, client: socket, addr: object) -> None:
        """Serve one connection until it ends; never raises."""
        try:
            Connection(self, client, _base_environ(listener, addr)).serve()
        except OSError:
            # The client hung up or is too slow: its own business.
            return
        except Exception:
            self.log.exception("a connection ended by an error of the app")
        finally:
            client.close()

    def count_request(self) -> None:
        """Count towards ``max_requests``; the worker leaves when it is reached."""
        self.nr += 1
        if self.nr == self.max_requests:
            self.log.info("worker leaves after its last request")
            self.alive = False


class Connection:
    """One keep-alive connection."""

    def __init__(
        self, worker: LeanWorker, client: socket, base: dict[str, Any]
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

    def _next(self) -> Incoming | None:
        """Wait for a whole head; None when the client or the patience is gone."""
        requests = self._parser.requests
        now = monotonic()
        until = now + self._keepalive_s
        # A leaving worker may have accepted this connection just now: its request is
        # on the way, and nobody else will hear it.
        stays = now if self._served else now + IDLE_LOOK_S
        while not requests or not requests[0].headed:
            now = monotonic()
            leaves = not self._worker.alive and not requests and now >= stays
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


def _base_environ(listener: socket, addr: object) -> dict[str, Any]:
    bound = listener.getsockname()
    name, port = bound[:2] if isinstance(bound, tuple) else (str(bound), 0)
    return {
        "SCRIPT_NAME": "",
        "SERVER_NAME": str(name),
        "SERVER_PORT": str(port),
        # A unix socket has no peer address; whoever reaches it is this machine.
        "REMOTE_ADDR": addr[0] if isinstance(addr, tuple) and addr else "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
