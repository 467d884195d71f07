"""How an event becomes bytes: JSON for machines, text for eyes, exceptions as text.

The last processors of `config/logging.py`; redaction has happened before.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from config.clock import now_ms

Event = MutableMapping[str, Any]

# A pipe writes up to this many bytes in one piece; a longer line of one process
# could be torn by another's.
LINE_BYTES = 4096
SHORT_TEXT = 200
TRACE_TAIL = 2000


def time_now() -> str:
    """Return the wall clock as ISO 8601 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(now_ms() / 1000, UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def write_exception(_logger: object, _method: str, event: Event) -> Event:
    """Replace ``exc_info`` by its text; the redaction after it reads the text."""
    given = event.pop("exc_info", None)
    if not given:
        return event
    if isinstance(given, BaseException):
        given = (type(given), given, given.__traceback__)
    elif given is True:
        given = sys.exc_info()
    event["exception"] = "".join(traceback.format_exception(*given)).rstrip()
    return event


def render_json(_logger: object, _method: str, event: Event) -> Any:  # noqa: ANN401
    """Structlog processor: the event as one JSON line, shortened if it must be."""
    line = orjson.dumps(event, default=str, option=orjson.OPT_APPEND_NEWLINE)
    if len(line) <= LINE_BYTES:
        return line
    return orjson.dumps(
        _shortened(event), default=str, option=orjson.OPT_APPEND_NEWLINE
    )


def _shortened(event: Event) -> dict[str, object]:
    short: dict[str, object] = {}
    for key, value in event.items():
        plain = isinstance(value, int | float | None)
        short[key] = value if plain else str(value)[:SHORT_TEXT]
    if isinstance(text := event.get("exception"), str):
        # The end names the error; the beginning is the server's own frames.
        short["exception"] = text[-TRACE_TAIL:]
    return short


def console_renderer() -> Any:  # noqa: ANN401 (structlog's own renderers are untyped)
    """Render for eyes; line ends inside a value cannot begin a line of their own."""
    renderer = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())

    def render(logger: object, method: str, event: Event) -> bytes:
        trace = event.pop("exception", None)
        for key, value in event.items():
            if isinstance(value, str):
                event[key] = value.replace("\r", "\\r").replace("\n", "\\n")
        if trace:
            event["exception"] = trace
        return str(renderer(logger, method, event)).encode() + b"\n"

    return render
