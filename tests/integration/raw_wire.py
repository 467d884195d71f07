"""A TCP server that misbehaves to the byte, and a transport that talks to it."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from config.clock import Deadline, sleep
from wechat.errors import WeChatError
from wechat.transport import Answer, PooledTransport, TransportLimits

OK = b'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\n{"a": 1}'
Serve = Callable[[socket.socket], None]


class Wire:
    """A listening socket whose connections are served by a function in threads."""

    def __init__(self, script: Callable[[Wire], Serve]) -> None:
        self.serve = script(self)
        self.connections = 0
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(peer)
            thread = threading.Thread(target=self._run, args=(peer,))
            self._threads.append(thread)
            thread.start()

    def _run(self, peer: socket.socket) -> None:
        try:
            self.serve(peer)
        except OSError:
            return

    def read(self, peer: socket.socket) -> bytes:
        """Read one request; an empty one is the end of the connection."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = peer.recv(65536)
            if not piece:
                return b""
            data += piece
        self.requests.append(data)
        return data

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self._open:
            shut(peer)
        for thread in self._threads:
            thread.join(5)


def shut(peer: socket.socket) -> None:
    try:
        peer.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
    finally:
        peer.close()


class Bench:
    """A wire and a transport that talks to it."""

    def __init__(self, wire: Wire, **limits: Any) -> None:
        self.wire = wire
        chosen = {
            "connect_timeout_s": 30.0,
            "pool_size": 4,
            "pool_wait_s": 0.1,
            "max_answer_bytes": 10_000,
            **limits,
        }
        base = f"http://127.0.0.1:{wire.port}"
        self.transport = PooledTransport(
            base, TransportLimits(**chosen), allow_plain=True
        )

    def get(self, wait_ms: float = 60_000, **query: str) -> Answer:
        return self.transport.request(
            "GET",
            "/p",
            query=query,
            body=None,
            deadline=Deadline.after_ms(wait_ms),
        )


@contextmanager
def bench(script: Callable[[Wire], Serve], **limits: Any) -> Iterator[Bench]:
    wire = Wire(script)
    made = Bench(wire, **limits)
    try:
        yield made
    finally:
        made.transport.close()
        wire.close()


def always(*pieces: bytes, then: Serve | None = None, pause_s: float = 0.0) -> Any:
    """Answer every request with these pieces, then go on or do ``then``."""

    def script(wire: Wire) -> Serve:
        def serve(peer: socket.socket) -> None:
            while wire.read(peer):
                for piece in pieces:
                    peer.sendall(piece)
                    sleep(pause_s)
                if then is not None:
                    then(peer)
                    return

        return serve

    return script


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def chunked(*pieces: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (*pieces, b""))
    return head + body


def slowly(wire: Wire, peer: socket.socket, pause_s: float = 0.002) -> None:
    while wire.read(peer):
        sleep(pause_s)
        peer.sendall(OK)


def gather(b: Bench, *, threads: int, calls: int) -> list[WeChatError]:
    errors: list[WeChatError] = []

    def work() -> None:
        for _ in range(calls):
            try:
                b.get(60_000)
            except WeChatError as error:
                errors.append(error)

    running = [threading.Thread(target=work) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return errors
