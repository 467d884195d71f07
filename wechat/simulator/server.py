"""The simulator on a port: a small asyncio HTTP/1.1 server around `engine`.

One event loop, no locks; a stalled or delayed call holds up nobody else.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from typing import Final
from urllib.parse import unquote_plus

import httptools

from wechat.simulator.control import PREFIX, control
from wechat.simulator.engine import Outcome, begin, finish
from wechat.simulator.pushes import Pusher
from wechat.simulator.state import SimState
from wechat.simulator.wire import Reply, Request

MOST_BODY_BYTES: Final = 1_048_576
_MOST_WAITING = 64
_REASONS: Final = {200: b"OK", 400: b"Bad Request", 404: b"Not Found"}
_TOO_LARGE = Reply(413, b'{"error":"body too large"}')


class SimProtocol(asyncio.Protocol):
    """One connection: requests are answered one after another, in order."""

    def __init__(self, state: SimState, pusher: Pusher) -> None:
        self._state = state
        self._pusher = pusher
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._busy = False
        self._url = b""
        self._body: list[bytes] = []
        self._size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def connection_lost(self, _exc: Exception | None) -> None:
        """Forget the peer; a delayed call still takes effect."""
        self._transport = None
        self._waiting.clear()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what is not HTTP ends the connection."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._close()

    def on_message_begin(self) -> None:
        """Start a new request."""
        self._url = b""
        self._body = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """Collect the request target, which may come in pieces."""
        self._url += url

    def on_body(self, body: bytes) -> None:
        """Collect the body up to the limit."""
        self._size += len(body)
        if self._size <= MOST_BODY_BYTES:
            self._body.append(body)
        elif self._transport is not None and not self._transport.is_closing():
            self._write(_TOO_LARGE, keep=False)

    def on_message_complete(self) -> None:
        """Serve the request, or queue it behind the one being served."""
        if self._size > MOST_BODY_BYTES or len(self._waiting) >= _MOST_WAITING:
            self._close()
            return
        keep = self._parser.should_keep_alive()
        method = self._parser.get_method().decode("ascii")
        path, query = split_target(self._url)
        request = Request(method, path, query, b"".join(self._body))
        if self._busy:
            self._waiting.append((request, keep))
        else:
            self._serve(request, keep=keep)

    def _serve(self, request: Request, *, keep: bool) -> None:
        if request.path.startswith(PREFIX):
            reply = control(self._state, request)
            self._answer(Outcome(reply), keep=keep)
            return
        call = begin(self._state, request)
        if call.delay_s > 0:
            self._busy = True
            loop = asyncio.get_running_loop()
            loop.call_later(
                call.delay_s,
                lambda: self._answer(finish(self._state, call), keep=keep),
            )
            return
        self._answer(finish(self._state, call), keep=keep)

    def _answer(self, outcome: Outcome, *, keep: bool) -> None:
        self._busy = outcome.end == "stall"
        if self._state.events:
            self._pusher.wake()
        if outcome.end == "reset":
            self._reset()
        if outcome.reply is not None:
            self._write(outcome.reply, keep=keep)
        if not self._busy and self._waiting:
            request, keep = self._waiting.popleft()
            self._serve(request, keep=keep)

    def _write(self, reply: Reply, *, keep: bool) -> None:
        if self._transport is None:
            return
        reason = _REASONS.get(reply.status, b"Other")
        self._transport.write(
            b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n%b"
            % (
                reply.status,
                reason,
                reply.content_type,
                len(reply.body),
                b"" if keep else b"Connection: close\r\n",
                reply.body,
            )
        )
        if not keep:
            self._close()

    def _reset(self) -> None:
        if self._transport is None:
            return
        sock = self._transport.get_extra_info("socket")
        # Without lingering the peer sees a reset, not an orderly end.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def split_target(url: bytes) -> tuple[str, dict[str, str]]:
    """Return path and decoded query of a request target."""
    path, _, query = url.decode("latin-1").partition("?")
    pairs = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        coded = "%" in part or "+" in part
        pairs[unquote_plus(name) if coded else name] = (
            unquote_plus(value) if coded else value
        )
    return path, pairs


async def serve(
    state: SimState, *, address: tuple[str, int], backend: tuple[str, int]
) -> tuple[asyncio.Server, Pusher]:
    """Listen on ``address``; events go to the ``backend`` address."""
    pusher = Pusher(state, *backend)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SimProtocol(state, pusher), *address, backlog=1024
    )
    return server, pusher
