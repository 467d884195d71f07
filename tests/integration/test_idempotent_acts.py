"""Idempotency-Key on the internal listener: each act of a person or system, once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from models.errors import KeyReused
from models.idempotency import Once, Replayed
from models.notifications import Notification
from tests.integration.message_house import MessageHouse, wanted
from web.services.outbox import OutboxService

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = Once("admin", "POST /admin/v1/notifications", "key", "body", "rq_1", 86_400)


def tell(act: Callable[[Once], object], once: Once = KEY) -> bytes:
    """Act under a key; return the bytes its request is answered with."""
    mine = replace(once)
    try:
        act(mine)
    except Replayed as replay:
        return replay.kept.data
    assert mine.kept is not None
    return mine.kept.data


def test_equal_requests_make_one_message(messages: MessageHouse) -> None:
    asked = wanted(messages.user())

    with ThreadPoolExecutor(4) as pool:
        told = list(
            pool.map(
                lambda _: tell(lambda once: messages.service.accept(asked, once)),
                range(8),
            )
        )

    assert len(set(told)) == 1
    with messages.tasks.database.read() as session:
        assert len(session.scalars(sa.select(Notification)).all()) == 1
    with pytest.raises(KeyReused):
        messages.service.accept(asked, replace(KEY, body_hash="other"))


def test_people_act_once_under_a_key(messages: MessageHouse) -> None:
    message = messages.accept(messages.user())
    cancel = replace(KEY, route="POST /cancel")

    told = [
        tell(lambda once: messages.service.cancel(message.id, once), cancel)
        for _ in range(2)
    ]

    assert told[0] == told[1]
    assert messages.acts() == [("notification.cancel", message.id)]


def test_work_is_given_up_once_under_a_key(messages: MessageHouse) -> None:
    row_id = messages.outbox_id(messages.accept(messages.user()))
    desk = OutboxService(messages.tasks.database, messages.tasks.settings.journal)
    discard, again = (replace(KEY, route=f"POST /{act}") for act in ("gone", "back"))
    messages.change_work(row_id, state="dead")

    told = [tell(lambda once: desk.replay(row_id, once), again) for _ in range(2)]
    gone = [tell(lambda once: desk.discard(row_id, "x", once), discard) for _ in "ab"]

    assert told[0] == told[1]
    assert gone[0] == gone[1]
    assert [act for act, _ in messages.acts()] == ["outbox.replay", "outbox.discard"]
