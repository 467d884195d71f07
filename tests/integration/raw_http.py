"""gunicorn with the lean worker on a free port, and a client that speaks in bytes."""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers.process import LocalProcess, free_port, port_answers

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
HOST = b"Host: x\r\n"
# So long that a machine which stands still is not taken for a client that does.
KEEPALIVE_S = 60
WRITE_S = 60
# How long a test waits for something that must come; not a measure of speed.
PATIENCE_S = 60


@dataclass
class Answer:
    """One answer as it came over the wire."""

    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def echo(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


class Phone:
    """One connection, by hand."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self._kept = b""

    def send(self, data: bytes) -> Phone:
        self.socket.sendall(data)
        return self

    def get(self, path: str, *fields: str) -> Phone:
        lines = [f"GET {path} HTTP/1.1", "Host: x", *fields, "", ""]
        return self.send("\r\n".join(lines).encode())

    def _more(self) -> bool:
        piece = self.socket.recv(65536)
        self._kept += piece
        return bool(piece)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._kept:
            if not self._more():
                raise EOFError(self._kept)
        head, _, self._kept = self._kept.partition(mark)
        return head

    def _exactly(self, size: int) -> bytes:
        while len(self._kept) < size:
            if not self._more():
                raise EOFError(self._kept)
        part, self._kept = self._kept[:size], self._kept[size:]
        return part

    def answer(self, *, has_body: bool = True) -> Answer:
        """Read one whole answer."""
        status, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        fields = {name.lower(): value for name, _, value in pairs}
        body = self._body(fields) if has_body else b""
        return Answer(int(status.split()[1]), fields, body)

    def _body(self, fields: dict[str, str]) -> bytes:
        if "content-length" in fields:
            return self._exactly(int(fields["content-length"]))
        if fields.get("transfer-encoding") != "chunked":
            return b""
        body = b""
        while size := int(self._until(b"\r\n"), 16):
            body += self._exactly(size)
            self._until(b"\r\n")
        self._until(b"\r\n")
        return body

    def rest(self) -> bytes:
        """Read until the server ends the connection."""
        while self._more():
            pass
        return self._kept

    def ended(self) -> bool:
        """Whether the server closes the connection and says nothing more."""
        try:
            return self.rest() == b""
        except ConnectionResetError:
            return True


class Server:
    """gunicorn with the lean worker and the small app."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        command = [
            *(sys.executable, "-m", "gunicorn", "-w", "1"),
            *("-b", f"127.0.0.1:{self.port}"),
            *("-k", "web.server.worker.LeanWorker"),
            *("--keep-alive", str(KEEPALIVE_S), "--timeout", str(WRITE_S)),
            *("--graceful-timeout", "5", "--limit-request-fields", "50"),
            *("--limit-request-field_size", "16384", "--no-control-socket"),
            *options,
            "tests.integration.small_wsgi:app",
        ]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = LocalProcess(
            command, log=folder / "gunicorn.log", env=env, cwd=ROOT
        )
        self._phones: list[Phone] = []

    def start(self) -> None:
        self.process.start()
        self.process.wait_ready(lambda: port_answers(self.port), within_s=60)

    def phone(self) -> Phone:
        self._phones.append(Phone(self.port))
        return self._phones[-1]

    def hang_up(self) -> None:
        """Close what the test has opened."""
        while self._phones:
            self._phones.pop().socket.close()

    def log(self) -> str:
        return self.process.log.read_text()


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Server]:
    server = Server(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.hang_up()
        server.process.stop()


def post(path: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    head = b"POST " + path + b" HTTP/1.1\r\n" + HOST
    return head + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body
