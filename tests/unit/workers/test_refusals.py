"""What is shown of messages: ids in Flower, first lines in the log."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from models.events import EventType
from tasks.app import app
from workers.flower_rows import hide_arguments
from workers.signals import keep_first_line
from workers.subscriptions import SUBSCRIPTIONS

OUTBOX_ID = "ob_01a2099a7164af2ac2b63c700d"


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        (OUTBOX_ID, OUTBOX_ID),
        (f"['{OUTBOX_ID}']", OUTBOX_ID),
        ("1795457446237-150 and 199 more", "1795457446237-150 and 199 more"),
        ("['sweep_journals']", "sweep_journals"),
        ("('13800138000', 'o6_bmjrPTlm6_2sgVt7hMZOPfL2M')", ""),
        ("{'nickname': 'Ada'}", ""),
        (None, ""),
    ],
)
def test_flower_shows_ids_only(args: str | None, shown: str) -> None:
    task = SimpleNamespace(args=args, kwargs="{'phone': '13800138000'}")

    assert hide_arguments(task).args == shown
    assert task.kwargs == ""


def test_the_body_of_a_refused_message_is_not_logged() -> None:
    words = "Received unregistered task of type %s.\nThe full contents: %s"
    record = logging.LogRecord("c", 40, "f", 1, words, ("x.y", "a secret"), None)

    assert keep_first_line(record)
    assert record.getMessage() == "Received unregistered task of type x.y."


def test_every_event_has_its_line_and_every_subscriber_exists() -> None:
    app.loader.import_default_modules()

    assert set(SUBSCRIPTIONS) == set(EventType)
    named = {task for tasks in SUBSCRIPTIONS.values() for task in tasks}
    assert named <= set(app.tasks)
