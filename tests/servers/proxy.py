"""A TCP proxy on loopback that cuts a connection in the worst moment.

Between Celery and its broker it reproduces the known loss: Redis has popped a task,
and the reply that carries it never arrives.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

CHUNK = 65_536


class CuttingProxy:
    """Forwards to ``port``; cuts replies that contain ``pattern`` when told to."""

    def __init__(self, port: int, pattern: bytes) -> None:
        self._target = port
        self._pattern = pattern
        self._lock = threading.Lock()
        self._cuts = 0
        self.done = 0
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_next(self, times: int) -> None:
        """Cut the next ``times`` replies that carry the pattern."""
        with self._lock:
            self._cuts += times

    def close(self) -> None:
        """Accept no more; open connections end with their peers."""
        self._door.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                for source, sink, cuts in ((client, server, 0), (server, client, 1)):
                    threading.Thread(
                        target=self._pump, args=(source, sink, bool(cuts)), daemon=True
                    ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, cuts: bool) -> None:  # noqa: FBT001 - a thread's argument
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if cuts and self._pattern in data and self._take():
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _take(self) -> bool:
        with self._lock:
            if not self._cuts:
                return False
            self._cuts -= 1
            self.done += 1
            return True
