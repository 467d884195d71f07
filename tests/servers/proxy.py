"""A TCP proxy on loopback that is a bad network: cut, stalled, silent, half open, slow.

Between Celery and its broker it reproduces the known loss: Redis has popped a task,
and the reply that carries it never arrives.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from config.clock import sleep

CHUNK = 65_536
Way = Literal["requests", "replies", "both"]


@dataclass(slots=True)
class Link:
    """One connection through the proxy; ``torn`` when one side is gone unnoticed."""

    client: socket.socket
    server: socket.socket
    torn: bool = False

    def close(self) -> None:
        """Close both sides; a torn link keeps the client's side open and silent."""
        for end in (self.server,) if self.torn else (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class FaultProxy:
    """Forwards to ``port`` until told to be a bad network; `heal` ends every mode."""

    def __init__(self, port: int, pattern: bytes = b"") -> None:
        """Replies that hold ``pattern`` are the ones `cut_next` cuts."""
        self._target = port
        self._pattern = pattern
        self._lock = threading.Lock()
        self._cuts = 0
        self._delay_s = 0.0
        self._links: list[Link] = []
        self._open = {
            way: threading.Event() for way in ("requests", "replies", "doors")
        }
        self.heal()
        self.done = 0
        self._door = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_next(self, times: int) -> None:
        """Cut the next ``times`` replies that carry the pattern; counted in `done`."""
        with self._lock:
            self._cuts += times

    def stall(self, way: Way = "both") -> None:
        """Hold back what travels one way or both; connections stay open."""
        for name in ("requests", "replies") if way == "both" else (way,):
            self._open[name].clear()

    def black_hole(self) -> None:
        """Accept new connections and answer nothing, on old ones neither."""
        self._open["doors"].clear()
        self.stall()

    def half_open(self) -> int:
        """Lose the server's side of each link without a word; return how many."""
        with self._lock:
            torn, self._links = self._links, []
        for link in torn:
            link.torn = True
            link.close()
        return len(torn)

    def cut_all(self) -> int:
        """Cut every open link at once; return how many."""
        with self._lock:
            cut, self._links = self._links, []
        for link in cut:
            link.close()
        return len(cut)

    def delay(self, seconds: float) -> None:
        """Make each piece of data wait ``seconds`` on its way."""
        self._delay_s = seconds

    def heal(self) -> None:
        """Be a good network again; what was held back travels on."""
        with self._lock:
            self._cuts = 0
        self._delay_s = 0.0
        for gate in self._open.values():
            gate.set()

    def close(self) -> None:
        """Accept no more and end what is open."""
        self._door.close()
        self.heal()
        self.cut_all()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        self._open["doors"].wait()
        try:
            server = socket.create_connection(("127.0.0.1", self._target), timeout=60)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = Link(client, server)
        with self._lock:
            self._links.append(link)
        threading.Thread(target=self._requests, args=(link,), daemon=True).start()
        self._replies(link)

    def _requests(self, link: Link) -> None:
        with suppress(OSError):
            while data := link.client.recv(CHUNK):
                self._travel("requests")
                if not link.torn:
                    link.server.sendall(data)
        link.torn = False
        self._end(link)

    def _replies(self, link: Link) -> None:
        with suppress(OSError):
            while data := link.server.recv(CHUNK):
                self._travel("replies")
                if link.torn or (self._pattern in data and self._take()):
                    break
                link.client.sendall(data)
        self._end(link)

    def _travel(self, way: str) -> None:
        self._open[way].wait()
        if self._delay_s:
            sleep(self._delay_s)

    def _end(self, link: Link) -> None:
        link.close()
        with self._lock:
            if link in self._links:
                self._links.remove(link)

    def _take(self) -> bool:
        with self._lock:
            if not self._cuts:
                return False
            self._cuts -= 1
            self.done += 1
            return True
