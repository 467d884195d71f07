"""A WSGI app that shows what the server hands it, served by gunicorn in the tests."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from config.clock import sleep
from models.errors import InvalidInput
from web.request_body import BodyTimeout, read_body
from web.server.environ import LINE_KEY
from web.server.requests import REFUSED_KEY

BIG = b"x" * 4_000_000
Environ = dict[str, Any]
Answer = tuple[str, Iterable[bytes]]


def echo(environ: Environ) -> Answer:
    """Tell the request as it arrived, with its whole body."""
    body = environ["wsgi.input"].read()
    shown = {
        name: value for name, value in environ.items() if isinstance(value, str | bool)
    }
    return "200 OK", [json.dumps({**shown, "body": body.decode("latin-1")}).encode()]


def strict(environ: Environ) -> Answer:
    """Read the body as the real app does, in at most some seconds."""
    try:
        return "200 OK", [read_body(environ, limit=1000, seconds=2.5)]
    except BodyTimeout:
        return "408 Request Timeout", [b"too slow"]
    except InvalidInput:
        return "400 Bad Request", [b"hung up"]


def slow(environ: Environ) -> Answer:
    """Answer after as many seconds as the query says."""
    sleep(float(environ["QUERY_STRING"]))
    return "200 OK", [str(os.getpid()).encode()]


def patient(environ: Environ) -> Answer:
    """Wait until the client or the worker goes, and leave a sign of which it was."""
    line, sign = environ[LINE_KEY], Path(environ["QUERY_STRING"])
    sign.touch()
    while not (line.hung_up() or line.leaving()):
        sleep(0.02)
    sign.write_text("gone" if line.hung_up() else "leaving")
    return "200 OK", [b"enough"]


def boom(_: Environ) -> Answer:
    """Fail as no app should."""
    raise ZeroDivisionError


def broken_stream(environ: Environ) -> Iterable[bytes]:
    """Fail in the middle, and leave a sign of having been closed."""
    try:
        yield b"first"
        raise ZeroDivisionError
    finally:
        Path(environ["QUERY_STRING"]).touch()


ROUTES: dict[str, Callable[[Environ], Answer]] = {
    "/echo": echo,
    "/strict": strict,
    "/slow": slow,
    "/patient": patient,
    "/boom": boom,
    "/ignore": lambda _: ("200 OK", [b"ignored"]),
    "/big": lambda _: ("200 OK", [BIG]),
    "/stream": lambda _: ("200 OK", iter([b"ab", b"", b"c"])),
    "/broken": lambda environ: ("200 OK", broken_stream(environ)),
    "/empty": lambda _: ("204 No Content", []),
}


def app(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Serve one request."""
    if refused := environ.get(REFUSED_KEY):
        status, body = "400 Bad Request", [str(refused).encode()]
    else:
        found = ROUTES.get(environ["PATH_INFO"], lambda _: ("404 Not Found", [b""]))
        status, body = found(environ)
    start_response(status, [("Content-Type", "text/plain")])
    return body
