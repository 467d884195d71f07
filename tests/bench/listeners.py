"""What an idle listener costs: `python -m tests.bench.listeners [count]`.

Opens streams of one user over the Procfile's own web processes, waits, and prints the
memory and CPU that each of them costs; then one commit must reach them all.
"""

from __future__ import annotations

import resource
import selectors
import socket
import sys
import tempfile
from pathlib import Path

from config.clock import monotonic, sleep
from tests.bench.cpu import pss_mb, tree_seconds
from tests.servers.phone import Phone
from tests.servers.stack import Stack, standing

COUNT = 10_000
IDLE_S = 30.0
HEAD = b"\r\n\r\n"


def ask(port: int, token: str) -> bytes:
    """Return the request for a stream."""
    lines = (
        "GET /api/v1/events HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Authorization: Bearer {token}",
        "Accept: application/x-ndjson",
    )
    return "\r\n".join((*lines, "", "")).encode()


def open_streams(port: int, token: str, count: int) -> list[socket.socket]:
    """Open ``count`` streams and read their heads."""
    request, streams = ask(port, token), []
    for _ in range(count):
        stream = socket.create_connection(("127.0.0.1", port), timeout=30)
        stream.sendall(request)
        streams.append(stream)
    for stream in streams:
        head = b""
        while HEAD not in head:
            head += stream.recv(4096)
        if b" 200 " not in head:
            raise SystemExit(head.decode())
        stream.settimeout(0)
    return streams


def time_until_all_hear(streams: list[socket.socket], word: bytes) -> float:
    """Return the seconds until each stream has brought ``word``."""
    began, left = monotonic(), len(streams)
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ, stream)
        while left:
            for key, _ in selector.select(timeout=30):
                if word in key.data.recv(65_536):
                    selector.unregister(key.data)
                    left -= 1
    return monotonic() - began


def measure(stack: Stack, count: int) -> None:
    """Print the cost of ``count`` idle streams and how soon all of them hear."""
    phone = Phone(stack)
    phone.login(timeout_ms=30_000)
    token = phone.data["access_token"]
    main = stack.running["web"].pid
    for _ in range(50):
        phone.me()
    memory, began = sum(pss_mb(main)), monotonic()
    opening = tree_seconds(main)
    streams = open_streams(stack.ports["web"], token, count)
    opened_s, opening = monotonic() - began, tree_seconds(main) - opening
    sleep(2)
    grown = (sum(pss_mb(main)) - memory) * 1024 / count
    before = tree_seconds(main)
    sleep(IDLE_S)
    used = (tree_seconds(main) - before) / IDLE_S
    phone.rename("heard")
    heard_s = time_until_all_hear(streams, b"profile.updated")
    print(f"{count} idle streams over 2 web processes, opened in {opened_s:.1f} s")
    print(f"CPU {opening / count * 1e6:.0f} us to open one")
    print(f"memory {grown:.1f} kB each ({memory:.0f} MB before)")
    print(f"CPU {used * 100:.1f} % of a core idle, {used / count * 1e6:.1f} us/s each")
    print(f"one event reached all of them in {heard_s:.2f} s")


def main() -> None:
    """Run with as many streams as the first argument says."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), RATE_LIMITS="off")
        with standing(stack, "wechat", "web", "relay", "worker"):
            measure(stack, count)


if __name__ == "__main__":
    main()
