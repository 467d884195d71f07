"""One HTTP/1.1 connection to WeChat: a socket and the parser of one answer.

`transport` owns a pool of these. Only names that gevent patches are used (`socket`,
`ssl`), so the same code serves greenlets and threads.
"""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

import httptools

from config.clock import Deadline, monotonic
from wechat.errors import WeChatLied, WeChatTimeout, WeChatUnreachable

_CHUNK = 65536
_FRAMING = (b"content-length", b"transfer-encoding")
# Below stand interim answers such as 100 Continue.
_FINAL = 200


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect; ``tls`` is None only for the simulator."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    connect_timeout_s: float
    max_answer_bytes: int


class _Reader:
    """The callbacks of a connection's parser: collects one answer at a time."""

    __slots__ = (
        "again",
        "begun",
        "body",
        "done",
        "framed",
        "headed",
        "parser",
        "status",
    )

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.start()

    def start(self) -> None:
        """Forget the last answer."""
        self.body: list[bytes] = []
        self.status = self.begun = 0
        self.headed = self.framed = self.done = self.again = False

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_header(self, name: bytes, _value: bytes) -> None:
        if name.lower() in _FRAMING:
            self.framed = True

    def on_headers_complete(self) -> None:
        self.headed = True

    def on_body(self, piece: bytes) -> None:
        if not self.done:
            self.body.append(piece)

    def on_message_complete(self) -> None:
        status = self.parser.get_status_code()
        if status < _FINAL or self.done:
            return
        # The parser forgets after this callback whether the peer keeps the line.
        self.again = self.parser.should_keep_alive()
        self.status = status
        self.done = True


class Connection:
    """One socket; ``idle_since`` is monotonic, set when it goes back to the pool."""

    __slots__ = ("_endpoint", "_reader", "_sock", "idle_since")

    def __init__(self, endpoint: Endpoint, path: str, deadline: Deadline) -> None:
        """Connect, with TLS where the endpoint asks for it.

        Raises WeChatUnreachable or WeChatTimeout, both with ``sent`` False.
        """
        self._endpoint = endpoint
        self._reader = _Reader()
        self.idle_since = 0.0
        limit = Deadline(monotonic() + deadline.capped(endpoint.connect_timeout_s))
        try:
            self._sock = _connect(endpoint, limit)
        except TimeoutError:
            raise WeChatTimeout(path, "connecting", sent=False) from None
        except OSError as error:
            kind = type(error).__name__
            raise WeChatUnreachable(path, f"connect: {kind}", sent=False) from None

    def usable(self) -> bool:
        """Whether the idle peer is still silent: bytes or an end mean it is stale."""
        try:
            self._sock.settimeout(0)
            self._sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False

    def exchange(
        self, request: bytes, path: str, deadline: Deadline
    ) -> tuple[int, bytes, bool]:
        """Send ``request`` once and return (status, body, may be used again).

        Raises WeChatTimeout, WeChatUnreachable or WeChatLied; the connection must
        then be closed. Nothing is ever sent twice.
        """
        try:
            self._patience(path, deadline, sent=False)
            self._sock.sendall(request)
            return self._receive(path, deadline)
        except TimeoutError:
            raise WeChatTimeout(path, "no whole answer in time") from None
        except OSError as error:
            raise WeChatUnreachable(path, type(error).__name__) from None

    def close(self) -> None:
        """Close the socket; never raises."""
        try:
            self._sock.close()
        except OSError:
            return

    def _patience(self, path: str, deadline: Deadline, *, sent: bool) -> None:
        left = deadline.remaining_s()
        if left <= 0:
            raise WeChatTimeout(path, "deadline passed", sent=sent)
        self._sock.settimeout(left)

    def _receive(self, path: str, deadline: Deadline) -> tuple[int, bytes, bool]:
        reader = self._reader
        reader.start()
        budget = self._endpoint.max_answer_bytes
        while not reader.done:
            self._patience(path, deadline, sent=True)
            data = self._sock.recv(_CHUNK)
            if not data:
                return _ended_by_close(reader, path)
            budget -= len(data)
            if budget < 0:
                raise WeChatLied(path, "answer too large")
            _feed(reader, data, path)
        # More than one answer to one request: whose is the rest?
        again = reader.again and reader.begun == 1
        return reader.status, b"".join(reader.body), again


def _feed(reader: _Reader, data: bytes, path: str) -> None:
    try:
        reader.parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
        raise WeChatLied(path, f"not HTTP: {type(error).__name__}") from None


def _ended_by_close(reader: _Reader, path: str) -> tuple[int, bytes, bool]:
    # Without a length an answer ends where the connection does; anything else that
    # ends there was cut.
    if not reader.headed or reader.framed:
        raise WeChatUnreachable(path, "connection closed inside the answer")
    return reader.parser.get_status_code(), b"".join(reader.body), False


def _connect(endpoint: Endpoint, limit: Deadline) -> socket.socket:
    last: OSError = TimeoutError()
    found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    for family, kind, proto, _name, address in found:
        if limit.expired:
            break
        sock = socket.socket(family, kind, proto)
        try:
            return _open(sock, address, endpoint, limit)
        except OSError as error:
            sock.close()
            last = error
    raise last


def _open(
    sock: socket.socket,
    address: tuple[object, ...],
    endpoint: Endpoint,
    limit: Deadline,
) -> socket.socket:
    sock.settimeout(max(0.001, limit.remaining_s()))
    sock.connect(address)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if endpoint.tls is None:
        return sock
    sock.settimeout(max(0.001, limit.remaining_s()))
    return endpoint.tls.wrap_socket(sock, server_hostname=endpoint.host)
