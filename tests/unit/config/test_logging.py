"""The one pipe: our lines and everybody's, one JSON object each, never raising."""

import json
import logging
import os
import sys

import pytest
import structlog
from prometheus_client import REGISTRY

from config.log_lines import LINE_BYTES
from config.log_sink import LineSink
from config.logging import (
    bind_context,
    clear_context,
    configure_logging,
    get_logger,
)
from config.settings import load_settings


def lost():
    return REGISTRY.get_sample_value("kuaida_log_lines_lost_total")


@pytest.fixture
def pipe(tmp_path):
    """A configured pipe; calling it returns the lines written so far."""
    root = logging.getLogger()
    before, level, hook = root.handlers[:], root.level, sys.excepthook
    path = tmp_path / "lines"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    sink = LineSink(descriptor)

    def configure(**environ):
        given = {"VAR_DIR": str(tmp_path), "KUAIDA_ENV": "test"} | environ
        configure_logging(load_settings(given, env_file=None), "web", sink=sink)
        return lambda: path.read_bytes().splitlines()

    yield configure
    os.close(descriptor)
    root.handlers[:], sys.excepthook = before, hook
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    clear_context()


def test_a_line_says_who_when_and_what(pipe):
    lines = pipe()
    get_logger("web.app").info("request done", status=200, nickname="Ming")
    (event,) = map(json.loads, lines())
    assert event["event"] == "request done"
    assert event["logger"] == "web.app"
    assert event["process"] == "web"
    assert event["level"] == "info"
    assert event["status"] == 200
    assert event["nickname"] == "[redacted]"
    assert len(event["time"]) == len("2026-11-23T17:45:01.123Z")


def test_context_is_in_every_line_until_it_is_cleared(pipe):
    lines = pipe()
    bind_context(request_id="r1", app_id="wx1", user_id=None)
    logging.getLogger("celery.x").warning("foreign")
    get_logger("x").info("ours")
    clear_context()
    get_logger("x").info("later")
    foreign, ours, later = map(json.loads, lines())
    assert foreign["request_id"] == ours["request_id"] == "r1"
    assert "user_id" not in ours
    assert "request_id" not in later


def test_foreign_lines_are_redacted(pipe):
    lines = pipe()
    logging.getLogger("kombu.connection").error(
        "lost %s", "redis://:hunter2@redis:6379/0"
    )
    assert b"hunter2" not in lines()[0]
    assert json.loads(lines()[0])["logger"] == "kombu.connection"


def test_exceptions_are_one_redacted_line(pipe):
    lines = pipe()
    try:
        raise ValueError("phone 13800138000")
    except ValueError:
        get_logger("x").exception("failed")
        logging.getLogger("y").exception("failed too")
    assert len(lines()) == 2
    for line in lines():
        event = json.loads(line)
        assert "ValueError: phone [redacted]" in event["exception"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_line_ends_in_values_cannot_forge_a_line(pipe, form):
    lines = pipe(LOG_FORMAT=form)
    get_logger("x").info("seen", path='/a\r\n{"event": "forged"}')
    assert len(lines()) == 1


def test_long_lines_are_cut_to_what_a_pipe_writes_in_one_piece(pipe):
    lines = pipe()
    get_logger("x").info("big", cause="ab " * 5000, status=200)
    assert len(lines()[0]) < LINE_BYTES
    assert json.loads(lines()[0])["status"] == 200


def test_a_full_or_closed_output_fails_nobody(tmp_path):
    sink = LineSink(os.open(tmp_path, os.O_RDONLY))
    before = lost()
    sink.write(b"x\n")
    assert lost() == before + 1
    os.close(sink.descriptor)


def test_a_broken_foreign_line_fails_nobody(pipe):
    lines = pipe()
    before = lost()
    logging.getLogger("x").warning("%d", "no number")
    assert lines() == []
    assert lost() == before + 1


def test_levels_are_kept(pipe):
    lines = pipe(LOG_LEVEL="warning")
    get_logger("x").info("quiet")
    logging.getLogger("x").info("quiet")
    get_logger("x").warning("loud")
    assert len(lines()) == 1


def test_uncaught_errors_take_the_same_way(pipe):
    lines = pipe()
    error = RuntimeError("secret=hunter2")
    sys.excepthook(RuntimeError, error, None)
    assert b"hunter2" not in lines()[0]
    assert json.loads(lines()[0])["level"] == "critical"
