"""One JSON line per event on standard output, for us and for every library.

Foreign loggers (celery, gunicorn, kombu, alembic) go through the same pipe, so
`config/redaction.py` sees all of it. Under `make run` the runner copies the lines
to ``VAR_DIR/log/<process>.log``; in containers standard output is all.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from os import getpid
from types import TracebackType
from typing import Any

import orjson
import structlog

from config.log_lines import (
    Event,
    console_renderer,
    render_json,
    time_now,
    write_exception,
)
from config.log_sink import LineSink
from config.metrics.processes import LOG_LINES_LOST
from config.redaction import redact
from config.setting_tree import Settings

Processor = Callable[[Any, str, Event], Event]

# Their "received" and "succeeded" lines repeat ours and print return values.
QUIET = (
    "celery.app.trace",
    "celery.worker.strategy",
    "celery.redirected",
    "kombu",
    "amqp",
    "urllib3",
    "tornado.access",
    "sqlalchemy",
    "asyncio",
)


class _NamedSink:
    """The logger structlog ends in: a sink that knows the module's name."""

    def __init__(self, sink: LineSink, name: str) -> None:
        self.name = name
        self.msg = sink.write
        self.debug = self.info = self.warning = sink.write
        self.error = self.critical = sink.write


class PlainLog:
    """Writes events whose every value is ours, straight to the pipe.

    For the one line a request: the search for secrets would cost more than half of
    it. A caller scrubs whatever a client had a hand in.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._slow = get_logger(name)

    def info(self, event: str, facts: dict[str, str | int | float]) -> None:
        """Write one line of ``facts`` (allowed keys, plain values)."""
        if _plain.sink is None:
            self._slow.info(event, **facts)
            return
        facts["event"], facts["level"], facts["logger"] = event, "info", self._name
        facts["process"], facts["pid"], facts["time"] = (
            _plain.process,
            getpid(),
            time_now(),
        )
        _plain.sink.write(orjson.dumps(facts, option=orjson.OPT_APPEND_NEWLINE))


class _Plain:
    """Where `PlainLog` writes; no sink means through structlog like all others."""

    sink: LineSink | None = None
    process = ""


_plain = _Plain()


class _PipeHandler(logging.Handler):
    """Turns records of the standard library into events of our pipe."""

    def __init__(self, processors: list[Processor], sink: LineSink) -> None:
        super().__init__()
        self._processors = processors
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record through the processors; never raises."""
        try:
            level = record.levelname.lower()
            event: Any = {
                "event": record.getMessage(),
                "logger": record.name,
                "level": level,
            }
            if record.exc_info:
                event["exc_info"] = record.exc_info
            for processor in self._processors:
                event = processor(None, level, event)
            self._sink.write(event)
        except Exception:  # noqa: BLE001 (a log line must never fail its caller)
            LOG_LINES_LOST.inc()


def configure_logging(
    settings: Settings, process: str, *, sink: LineSink | None = None
) -> None:
    """Send all logs of this process through the one pipe; may be called again.

    ``process`` is the name in the Procfile and appears in every line.
    """
    chosen = sink or LineSink()
    render = render_json if settings.logs.format == "json" else console_renderer()
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _stamp(process),
        write_exception,
        redact,
        render,
    ]
    level = logging.getLevelNamesMapping()[settings.logs.level.upper()]
    fast = settings.logs.format == "json" and level <= logging.INFO
    _plain.sink, _plain.process = (chosen if fast else None), process
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *names: _NamedSink(chosen, *names),
        # Tests configure more than once and must not meet the first pipe again.
        cache_logger_on_first_use=settings.env != "test",
    )
    _catch_foreign(_PipeHandler(processors, chosen), level)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return the logger of a module; usable before `configure_logging`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger


def bind_context(**ids: str | int | None) -> None:
    """Add ids (request_id, task_id, app_id, user_id) to every later line.

    The binding belongs to the running request or task, not to the process.
    """
    structlog.contextvars.bind_contextvars(
        **{name: value for name, value in ids.items() if value is not None}
    )


def bound_id(name: str) -> str | None:
    """Return an id that `bind_context` bound, so that rows can carry it on."""
    value = structlog.contextvars.get_contextvars().get(name)
    return value if isinstance(value, str) else None


def clear_context() -> None:
    """Forget the ids; called at the doors before the next request or task."""
    structlog.contextvars.clear_contextvars()


def _catch_foreign(handler: logging.Handler, level: int) -> None:
    # Python prints a traceback to stderr when a handler fails, unredacted.
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("uncaught").critical(
        "process failed", exc_info=(kind, error, trace)
    )


def _stamp(process: str) -> Processor:
    def stamp(logger: object, _method: str, event: Event) -> Event:
        event["time"] = time_now()
        if isinstance(logger, _NamedSink):
            event["logger"] = logger.name
        event["process"] = process
        event["pid"] = getpid()
        return event

    return stamp
