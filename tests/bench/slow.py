"""Clients that send a request body one byte at a time, to hold a server's places."""

from __future__ import annotations

import selectors
import socket
import threading

from config.clock import monotonic

EVERY_S = 0.5


class SlowClients:
    """Opens many connections and drips; one thread of the bench serves them all."""

    def __init__(self, host: str, port: int, path: str) -> None:
        self.host, self.port = host, port
        self.head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\n"
            "Content-Type: application/json\r\nContent-Length: 4000\r\n\r\n"
        ).encode()

    def start(self, count: int, *, lasting_s: float) -> None:
        """Begin to drip from ``count`` connections; ends by itself."""
        links = [self._open() for _ in range(count)]
        drip = threading.Thread(target=self._drip, args=(links, lasting_s), daemon=True)
        drip.start()

    def _open(self) -> socket.socket:
        link = socket.create_connection((self.host, self.port), timeout=5)
        link.sendall(self.head)
        return link

    def _drip(self, links: list[socket.socket], lasting_s: float) -> None:
        end = monotonic() + lasting_s
        with selectors.DefaultSelector() as clock:
            while monotonic() < end:
                clock.select(EVERY_S)
                links = [self._renewed(link) for link in links]
        for link in links:
            link.close()

    def _renewed(self, link: socket.socket) -> socket.socket:
        # A server that closes a slow client meets a new one, as in real attacks.
        try:
            link.sendall(b" ")
        except OSError:
            link.close()
            try:
                return self._open()
            except OSError:
                pass
        return link
