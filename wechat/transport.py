"""How a call reaches WeChat: the `Transport` seam and its pooled HTTP client.

`calls` is the only user; `simulator.transport` is the other implementation. One
`PooledTransport` serves all apps of a process, for threads and gevent alike.
"""

from __future__ import annotations

import os
import re
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from urllib.parse import quote, urlsplit

from config.clock import Deadline, monotonic
from wechat.connection import Connection, Endpoint
from wechat.errors import PoolExhausted, WeChatTimeout

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
_WECHAT_DOMAIN = ".qq.com"


class Answer(NamedTuple):
    """One HTTP answer: the status code and the body's bytes."""

    status: int
    body: bytes


class Transport(Protocol):
    """The seam between the client and the network."""

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        body: bytes | None,
        deadline: Deadline,
    ) -> Answer:
        """Send one request, at most once, and return its answer.

        Raises WeChatTimeout, WeChatUnreachable or WeChatLied.
        """

    def close(self) -> None:
        """Give up idle connections."""


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """Bounds of a transport; seconds and bytes. The gateway fills them in."""

    connect_timeout_s: float
    pool_size: int
    pool_wait_s: float
    max_answer_bytes: int
    idle_s: float = 30.0


class PooledTransport:
    """A lean HTTP/1.1 client over one bounded pool of kept connections.

    No redirects, no proxies, no compression, no repeats. After a fork the child
    leaves the parent's sockets alone and begins with an empty pool.
    """

    def __init__(
        self, base: str, limits: TransportLimits, *, allow_plain: bool
    ) -> None:
        """Raise ValueError when ``base`` is not a URL this client may talk to.

        ``allow_plain`` admits ``http``, for the simulator; never for WeChat itself.
        """
        self._limits = limits
        self._endpoint, self._prefix = _endpoint(base, limits, allow_plain=allow_plain)
        self._host = urlsplit(base).netloc.rpartition("@")[2].encode("ascii")
        self._renew()

    def _renew(self) -> None:
        self._pid = os.getpid()
        self._idle: list[Connection] = []
        self._places = threading.BoundedSemaphore(self._limits.pool_size)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        body: bytes | None,
        deadline: Deadline,
    ) -> Answer:
        """Send one request over a pooled connection; see `Transport`."""
        head = self._head(method, path, query, body)
        if self._pid != os.getpid():
            self._renew()
        places = self._places
        self._take(places, path, deadline)
        try:
            return self._exchange(head, path, deadline)
        finally:
            places.release()

    def close(self) -> None:
        """Close every idle connection; those in use close when they come back."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _head(
        self, method: str, path: str, query: Mapping[str, str], body: bytes | None
    ) -> bytes:
        target = self._prefix + path
        if query:
            target += "?" + "&".join([f"{k}={_quoted(v)}" for k, v in query.items()])
        head = b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (
            method.encode("ascii"),
            target.encode("ascii"),
            self._host,
        )
        if body is None:
            return head + b"\r\n"
        kind = b"Content-Type: application/json\r\n"
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (head, kind, len(body), body)

    def _take(
        self, places: threading.BoundedSemaphore, path: str, deadline: Deadline
    ) -> None:
        if places.acquire(blocking=False):
            return
        if not places.acquire(timeout=deadline.capped(self._limits.pool_wait_s)):
            if deadline.expired:
                raise WeChatTimeout(path, "waiting for a connection", sent=False)
            raise PoolExhausted(path, "every connection is busy", sent=False)

    def _exchange(self, request: bytes, path: str, deadline: Deadline) -> Answer:
        connection = self._connection(path, deadline)
        try:
            status, body, again = connection.exchange(request, path, deadline)
        except BaseException:
            connection.close()
            raise
        if again:
            connection.idle_since = monotonic()
            self._idle.append(connection)
        else:
            connection.close()
        return Answer(status, body)

    def _connection(self, path: str, deadline: Deadline) -> Connection:
        oldest = monotonic() - self._limits.idle_s
        while True:
            # Another thread may empty the list between a check and the pop.
            try:
                connection = self._idle.pop()
            except IndexError:
                return Connection(self._endpoint, path, deadline)
            if connection.idle_since >= oldest and connection.usable():
                return connection
            connection.close()


def _quoted(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else quote(value, safe="")


def _endpoint(
    base: str, limits: TransportLimits, *, allow_plain: bool
) -> tuple[Endpoint, str]:
    parts = urlsplit(base)
    host = parts.hostname or ""
    plain = allow_plain and not host.endswith(_WECHAT_DOMAIN)
    if not host or parts.scheme not in {"https", "http"} or parts.query:
        message = "the WeChat base must be a plain http(s) URL"
        raise ValueError(message)
    if parts.scheme == "http" and not plain:
        message = "the WeChat base must be https"
        raise ValueError(message)
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    endpoint = Endpoint(
        host, port, tls, limits.connect_timeout_s, limits.max_answer_bytes
    )
    return endpoint, parts.path.rstrip("/")
