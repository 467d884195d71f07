"""Messages as senders ask for them: accepted once, planned, cancelled, repeated."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from config.clock import sleep
from models import notifications
from models.base import database_now
from models.errors import Conflict, InvalidInput, KuaidaError, NotFound, Unavailable
from models.notifications import Notification, NotificationAttempt
from models.outbox import Outbox
from models.outbox_lease import claim
from models.users import find_profile
from tasks.notifications import send_notification
from tests.integration.journals import APP, make_login, remember, secrets_of
from tests.integration.message_house import DATA, MessageHouse, in_seconds, wanted
from web.services.notifications import TASK, NotificationService

if TYPE_CHECKING:
    from models.notifications import NotificationView


def due(messages: MessageHouse) -> list[str]:
    """Hand over what is due, as the relay does; return the names of the work."""
    with messages.tasks.database.unit_of_work() as uow:
        rows = claim(uow.session, "notifications", limit=99, resend_after_ms=0)
        return [row.name for row in rows]


def count(messages: MessageHouse, table: type) -> int:
    with messages.tasks.database.read() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def test_an_accepted_message_is_work_with_its_app(messages: MessageHouse) -> None:
    user_id = messages.user()

    message = messages.accept(user_id)

    assert (message.state, message.send_at) == ("created", message.created_at)
    assert message.page == "pages/appointments/detail"
    work = messages.work(message)
    assert (work.name, work.subject_id, work.app_id) == (TASK, message.id, APP)
    assert messages.look(message) == message


def test_what_it_says_is_sealed_at_rest(messages: MessageHouse) -> None:
    message = messages.accept(messages.user(), data={**DATA, "thing1": "Geheim"})

    row = messages.row(message)

    assert b"Geheim" not in row.data_sealed
    messages.send(message)
    assert messages.arrivals()[0].body["data"]["thing1"] == {"value": "Geheim"}


def test_a_planned_message_waits_for_its_second(messages: MessageHouse) -> None:
    message = messages.accept(messages.user(), send_at=in_seconds(3600))

    assert message.state == "scheduled"
    assert due(messages) == []
    # The hour passes.
    messages.change(message, send_at=in_seconds(-1))
    past = {"due_at": in_seconds(-1), "visible_at": in_seconds(-1)}
    messages.change_work(messages.outbox_id(message), **past)
    assert due(messages) == [TASK]
    messages.send(message)
    assert messages.state(message) == "sent"


@pytest.mark.parametrize("seconds", [-301, 91 * 86_400])
def test_times_out_of_bounds_are_refused(messages: MessageHouse, seconds: int) -> None:
    user_id = messages.user()

    with pytest.raises(InvalidInput) as refused:
        messages.accept(user_id, send_at=in_seconds(seconds))

    assert refused.value.faults[0].field == "send_at"
    assert count(messages, Outbox) == 0


def test_a_time_just_past_is_now(messages: MessageHouse) -> None:
    message = messages.accept(messages.user(), send_at=in_seconds(-100))

    assert message.state == "created"
    assert due(messages) == [TASK]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"app_id": "wxother"}, "app_id"),
        ({"template_key": "other"}, "template_key"),
        ({"data": {**DATA, "thing1": "x" * 21}}, "data.thing1"),
    ],
)
def test_a_message_wechat_would_refuse_is_refused(
    messages: MessageHouse, change: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        messages.accept(messages.user(), **change)

    assert [fault.field for fault in refused.value.faults] == [field]


def test_strangers_get_no_message(messages: MessageHouse) -> None:
    with pytest.raises(NotFound):
        messages.accept("u_" + "0" * 26)


def test_a_login_of_this_moment_can_be_written_to(messages: MessageHouse) -> None:
    entry = make_login(messages.tasks, 7)
    remember(messages.tasks.stores, entry, secrets_of(7))
    messages.user(8)
    messages.wechat.control("POST", "/_sim/users", {"openid": secrets_of(7).openid})
    messages.grant(7, 1)

    message = messages.accept(entry.user_id)
    messages.send(message)

    assert messages.state(message) == "sent"
    with messages.tasks.database.read() as session:
        assert find_profile(session, entry.user_id) is not None


def test_the_same_key_is_the_same_message(messages: MessageHouse) -> None:
    user_id = messages.user()
    first = messages.accept(user_id, dedupe_key="order 1", send_at=in_seconds(60))

    again = messages.accept(user_id, dedupe_key="order 1", send_at=first.send_at)

    assert again == first
    with pytest.raises(Conflict) as other:
        messages.accept(user_id, dedupe_key="order 1")
    assert other.value.reason == "conflict"
    assert count(messages, Notification) == count(messages, Outbox) == 1


def test_twenty_at_once_under_one_key_are_one_message(messages: MessageHouse) -> None:
    user_id = messages.user()

    def accept(_: int) -> str:
        try:
            return messages.accept(user_id, dedupe_key="race").id
        except Unavailable:
            # Twenty at once on a busy machine: told to wait, as every caller may be.
            return messages.accept(user_id, dedupe_key="race").id

    with ThreadPoolExecutor(20) as pool:
        names = set(pool.map(accept, range(20)))

    assert len(names) == 1
    assert count(messages, Notification) == count(messages, Outbox) == 1


def test_a_cancelled_message_is_never_sent(messages: MessageHouse) -> None:
    message = messages.accept(messages.user(), send_at=in_seconds(60))

    assert messages.service.cancel(message.id).state == "cancelled"

    assert messages.send(message) == "nothing"
    assert messages.arrivals() == []
    assert messages.work(message).state == "cancelled"
    assert messages.acts() == [("notification.cancel", message.id)]
    with pytest.raises(Conflict) as twice:
        messages.service.cancel(message.id)
    assert twice.value.reason == "state_forbids"


@pytest.mark.parametrize("state", ["sending", "sent", "failed", "unknown"])
def test_too_late_to_cancel_changes_nothing(messages: MessageHouse, state: str) -> None:
    message = messages.accept(messages.user())
    messages.change(message, state=state)

    with pytest.raises(Conflict):
        messages.service.cancel(message.id)

    assert messages.state(message) == state
    assert messages.work(message).state == "ready"
    assert messages.acts() == []


def test_of_cancel_and_send_exactly_one_wins(messages: MessageHouse) -> None:
    user_id = messages.user(grants=20)
    dice = random.Random(7)  # noqa: S311 (spreads the two)
    accepted = [messages.accept(user_id) for _ in range(16)]

    def cancel(message: NotificationView) -> bool:
        sleep(dice.random() * 0.03)
        try:
            messages.service.cancel(message.id)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        for message in accepted:
            sending = pool.submit(messages.send, message)
            cancelled = pool.submit(cancel, message).result()
            sending.result()
            assert messages.state(message) == ("cancelled" if cancelled else "sent")

    sent = [one for one in accepted if messages.state(one) == "sent"]
    assert len(messages.arrivals()) == len(sent)


@pytest.mark.parametrize("state", ["failed", "unknown"])
def test_a_person_may_send_again(messages: MessageHouse, state: str) -> None:
    message = messages.accept(messages.user())
    mode = {"failed": "error", "unknown": "half_json"}[state]
    messages.fault(mode, errcode=43101, times=1)
    messages.send(message)
    first_work = messages.outbox_id(message)
    assert messages.state(message) == state

    again = messages.service.retry(message.id)

    assert (again.state, again.errcode, len(again.attempts)) == ("created", None, 1)
    assert messages.acts() == [("notification.retry", message.id)]
    assert messages.outbox_id(message) != first_work
    messages.send(message)
    seen = messages.look(message)
    assert seen.state == "sent"
    assert [attempt.outcome for attempt in seen.attempts] == [state, "sent"]


@pytest.mark.parametrize("state", ["created", "scheduled", "sending", "sent"])
def test_nothing_else_is_sent_again(messages: MessageHouse, state: str) -> None:
    message = messages.accept(messages.user())
    messages.change(message, state=state)

    with pytest.raises(Conflict):
        messages.service.retry(message.id)

    assert count(messages, Outbox) == 1


def test_two_people_who_retry_send_once(messages: MessageHouse) -> None:
    message = messages.accept(messages.user())
    messages.change(message, state="failed")

    def retry(_: int) -> bool:
        try:
            messages.service.retry(message.id)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(retry, range(4))) == 1


def test_the_old_work_of_a_retried_message_sends_nothing(
    messages: MessageHouse,
) -> None:
    message = messages.accept(messages.user())
    old = messages.outbox_id(message)
    messages.change(message, state="failed")
    messages.service.retry(message.id)

    assert send_notification(old) == "done"

    assert (messages.state(message), messages.arrivals()) == ("created", [])


def test_there_is_nothing_under_another_name(messages: MessageHouse) -> None:
    for ask in (messages.service.get, messages.service.cancel, messages.service.retry):
        with pytest.raises(NotFound):
            ask("nt_" + "0" * 26)


def test_a_full_lane_refuses_with_a_wait(messages: MessageHouse) -> None:
    user_id = messages.user()
    settings = messages.tasks.settings
    few = settings.notifications.model_copy(update={"backlog": 2})
    service = NotificationService(
        settings.model_copy(update={"notifications": few}),
        messages.tasks.stores,
        messages.tasks.database,
    )
    service.accept(wanted(user_id))
    service.accept(wanted(user_id))

    with pytest.raises(Unavailable) as full:
        service.accept(wanted(user_id))

    assert full.value.reason == "overloaded"
    assert full.value.retry_after_ms


def test_old_messages_go_with_their_attempts_and_keys(messages: MessageHouse) -> None:
    user_id = messages.user()
    ended = messages.accept(user_id, dedupe_key="k")
    messages.send(ended)
    waiting = messages.accept(user_id)
    with messages.tasks.database.unit_of_work() as uow:
        later = database_now(uow.session) + 1000
        assert notifications.prune(uow.session, before=0, limit=9) == 0
        assert notifications.prune(uow.session, before=later, limit=9) == 1

    assert count(messages, NotificationAttempt) == 0
    assert messages.look(waiting).state == "created"
    assert messages.accept(user_id, dedupe_key="k").id != ended.id


def test_no_refusal_quotes_what_was_asked(messages: MessageHouse) -> None:
    user_id = messages.user()
    secret = "13800138000\n"

    with pytest.raises(KuaidaError) as refused:
        messages.accept(user_id, data={**DATA, "thing1": secret})

    assert "138" not in str(refused.value) + repr(refused.value.__dict__)
