"""What becomes of a message, whatever WeChat or our own processes do to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import REGISTRY

from config.clock import sleep
from models.figures import read_figures
from models.outbox_lease import Lease, begin, bury
from models.users import ensure_user
from tasks.base import WorkDead
from tasks.notification_sweep import settle_notifications
from tests.integration.message_house import SEND, TOKEN, in_seconds

if TYPE_CHECKING:
    from models.notifications import NotificationView
    from tests.integration.message_house import MessageHouse


def counted(outcome: str, cause: str) -> float:
    labels = {"outcome": outcome, "cause": cause}
    return REGISTRY.get_sample_value("kuaida_notifications_total", labels) or 0.0


def outcomes(message: NotificationView) -> list[tuple[str, int | None]]:
    return [(attempt.outcome, attempt.errcode) for attempt in message.attempts]


def test_a_message_arrives_once_and_tells_its_msgid(messages: MessageHouse) -> None:
    message = messages.accept(messages.user())
    before = counted("sent", "")

    assert messages.send(message) == "done"
    assert messages.send(message) == "nothing"

    (arrival,) = messages.arrivals()
    seen = messages.look(message)
    assert (seen.state, seen.wechat_msgid) == ("sent", str(arrival.msgid))
    assert seen.sent_at is not None
    assert seen.sent_at >= seen.created_at
    assert outcomes(seen) == [("sent", 0)]
    assert counted("sent", "") == before + 1


UNKNOWN = ["accept_then_reset", "accept_then_stall", "http500", "half_json", "reset"]


@pytest.mark.parametrize("mode", UNKNOWN)
def test_an_outcome_nobody_knows_is_unknown_and_never_sent_again(
    messages: MessageHouse, mode: str
) -> None:
    message = messages.accept(messages.user())
    messages.fault(mode, times=1)

    messages.send(message)
    messages.send(message)

    seen = messages.look(message)
    assert (seen.state, len(messages.arrivals())) == ("unknown", 1)
    assert outcomes(seen) == [("unknown", None)]
    assert messages.work(message).state == "done"
    assert counted("unknown", str(seen.reason)) >= 1
    assert messages.events() == []


@pytest.mark.parametrize(
    ("errcode", "reason"),
    [(43101, "user_state"), (40003, "user_state"), (47003, "config"), (99, "config")],
)
def test_a_refusal_is_a_failure_told_to_the_user(
    messages: MessageHouse, errcode: int, reason: str
) -> None:
    user_id = messages.user()
    message = messages.accept(user_id)
    messages.fault("error", errcode=errcode, times=1)

    assert messages.send(message) == "done"

    seen = messages.look(message)
    assert (seen.state, seen.errcode, seen.reason) == ("failed", errcode, reason)
    assert outcomes(seen) == [("failed", errcode)]
    told = {"notification_id": message.id, "template_key": "appointment"}
    event = {"type": "notification.failed", "reason": reason, **told}
    assert messages.events() == [event]


@pytest.mark.parametrize(
    ("times", "state", "calls"), [(2, "sent", 3), (3, "failed", 3)]
)
def test_busy_is_asked_again_twice(
    messages: MessageHouse, times: int, state: str, calls: int
) -> None:
    message = messages.accept(messages.user())
    messages.fault("error", errcode=-1, times=times)

    for _ in range(4):
        messages.send(message)

    assert messages.state(message) == state
    assert len(messages.arrivals()) == calls


@pytest.mark.parametrize(
    ("fault", "wait_ms"),
    [
        ({"mode": "error", "errcode": 45011}, 60_000),
        ({"mode": "error", "errcode": 45009}, 86_400_000),
        ({"mode": "error", "errcode": 43108}, 1000),
        ({"mode": "http500", "path": TOKEN}, 60_000),
        ({"mode": "stall", "path": TOKEN}, 60_000),
    ],
    ids=["minute", "day", "same moment", "token 500", "token stalls"],
)
def test_what_reached_nobody_waits_and_goes_out_later(
    messages: MessageHouse, fault: dict[str, Any], wait_ms: int
) -> None:
    message = messages.accept(messages.user())
    messages.fault(**fault)

    assert messages.send(message) == "postponed"

    work, seen = messages.work(message), messages.look(message)
    assert (seen.state, work.state, work.attempts) == ("created", "ready", 0)
    assert 0 < work.visible_at - work.updated_at <= wait_ms * 1.3
    assert seen.attempts[0].outcome == "put_off"
    messages.heal()
    while messages.send(message) == "postponed":
        sleep(0.2)
    assert messages.state(message) == "sent"
    delivered = [one for one in messages.arrivals() if one.outcome == "delivered"]
    assert len(delivered) == 1


@pytest.mark.parametrize("errcode", [40001, 40014, 42001])
def test_a_refused_token_costs_a_try_and_the_next_one_follows_at_once(
    messages: MessageHouse, errcode: int
) -> None:
    message = messages.accept(messages.user())
    messages.fault("error", errcode=errcode, times=1)

    assert messages.send(message) == "postponed"

    work = messages.work(message)
    assert (work.state, work.attempts) == ("ready", 0)
    assert work.visible_at <= work.updated_at
    assert messages.send(message) == "done"
    seen = messages.look(message)
    assert outcomes(seen) == [("put_off", errcode), ("sent", 0)]
    assert [one.errcode for one in messages.arrivals()] == [errcode, 0]


def test_tokens_refused_one_after_the_other_are_not_hurried(
    messages: MessageHouse,
) -> None:
    message = messages.accept(messages.user())
    messages.fault("error", errcode=40001)

    for _ in range(2):
        assert messages.send(message) == "postponed"

    work = messages.work(message)
    assert work.attempts == 0
    assert work.visible_at > work.updated_at
    assert outcomes(messages.look(message)) == [("put_off", 40001)] * 2
    assert messages.wechat.state.calls[SEND] == 2


def test_a_wait_without_end_is_a_failure(messages: MessageHouse) -> None:
    message = messages.accept(messages.user(), send_at=in_seconds(-250))
    messages.fault("error", errcode=45009)
    patience_s = messages.tasks.settings.notifications.patience_s
    with messages.tasks.database.unit_of_work() as uow:
        row = uow.session.merge(messages.work(message))
        row.due_at -= patience_s * 1000

    messages.send(message)

    seen = messages.look(message)
    assert (seen.state, seen.reason, seen.errcode) == ("failed", "gave_up", 45009)


def test_whoever_finds_sending_does_not_send(messages: MessageHouse) -> None:
    message = messages.accept(messages.user())
    messages.change(message, state="sending")

    assert messages.send(message) == "done"

    seen = messages.look(message)
    assert (seen.state, seen.reason) == ("unknown", "process_died")
    assert messages.arrivals() == []


def test_a_process_killed_in_the_call_leaves_an_unknown_message(
    messages: MessageHouse,
) -> None:
    message = messages.accept(messages.user())
    killed = KilledCall(messages)
    messages.tasks.gateway.client(message.app_id)._caller._transport = killed

    with pytest.raises(SystemExit):
        messages.send(message)
    assert messages.state(message) == "sending"
    killed.forget_lease(messages, message)
    messages.send(message)

    seen = messages.look(message)
    assert (seen.state, outcomes(seen)) == ("unknown", [("unknown", None)])
    assert messages.wechat.state.calls[SEND] == 1


class KilledCall:
    """A transport whose process dies as soon as WeChat has the message."""

    def __init__(self, house: MessageHouse) -> None:
        self._wechat = house.wechat

    def request(self, method: str, path: str, **how: Any) -> Any:
        answer = self._wechat.request(method, path, **how)
        if path == SEND:
            raise SystemExit
        return answer

    def close(self) -> None:
        """Do nothing."""

    @staticmethod
    def forget_lease(house: MessageHouse, message: NotificationView) -> None:
        with house.tasks.database.unit_of_work() as uow:
            uow.session.merge(house.work(message)).visible_at = 0


def test_an_outcome_that_comes_late_is_kept(messages: MessageHouse) -> None:
    message = messages.accept(messages.user())
    late = LateAnswer(messages, message)
    messages.tasks.gateway.client(message.app_id)._caller._transport = late

    assert messages.send(message) == "doubled"

    assert late.meanwhile == "unknown"
    seen = messages.look(message)
    assert (seen.state, outcomes(seen)) == ("sent", [("sent", 0)])
    assert seen.wechat_msgid == str(messages.arrivals()[0].msgid)


class LateAnswer(KilledCall):
    """A transport so slow that another process gives the attempt up for dead."""

    def __init__(self, house: MessageHouse, message: NotificationView) -> None:
        super().__init__(house)
        self.house, self.message = house, message
        self.meanwhile = ""

    def request(self, method: str, path: str, **how: Any) -> Any:
        answer = self._wechat.request(method, path, **how)
        if path == SEND:
            self.forget_lease(self.house, self.message)
            self.house.send(self.message)
            self.meanwhile = self.house.state(self.message)
        return answer


def test_work_discarded_in_the_middle_of_its_call_keeps_the_outcome(
    messages: MessageHouse,
) -> None:
    message = messages.accept(messages.user())
    discarding = DiscardedCall(messages, message)
    messages.tasks.gateway.client(message.app_id)._caller._transport = discarding

    messages.send(message)

    assert messages.work(message).state == "dead"
    assert messages.state(message) == "sent"


class DiscardedCall(LateAnswer):
    """A transport during whose call a person sets the work aside."""

    def request(self, method: str, path: str, **how: Any) -> Any:
        answer = self._wechat.request(method, path, **how)
        if path == SEND:
            row_id = self.house.outbox_id(self.message)
            self.house.tasks.database.transact(
                lambda uow: bury(uow.session, row_id, "by a person")
            )
        return answer


@pytest.mark.parametrize(
    ("state", "end"), [("created", "failed"), ("sending", "unknown")]
)
def test_work_that_is_set_aside_ends_its_message(
    messages: MessageHouse, state: str, end: str
) -> None:
    message = messages.accept(messages.user())
    messages.change(message, state=state)
    lease = Lease(lease_ms=0, deaths=3)
    for _ in range(4):
        with messages.tasks.database.unit_of_work() as uow:
            begun = begin(uow.session, messages.outbox_id(message), lease)
    assert begun == "quarantined"

    sweep(messages)

    assert (messages.state(message), messages.arrivals()) == (end, [])
    assert len(messages.events()) == (end == "failed")
    sweep(messages)
    assert len(messages.events()) == (end == "failed")


def sweep(messages: MessageHouse) -> None:
    with messages.tasks.database.unit_of_work() as uow:
        row_id = uow.enqueue(settle_notifications.name, "settle_notifications")
    assert settle_notifications(row_id) == "done"


def test_revived_work_sends_what_failed_with_it(messages: MessageHouse) -> None:
    message = messages.accept(messages.user())
    with messages.tasks.database.unit_of_work() as uow:
        bury(uow.session, messages.outbox_id(message), "the disk was full")
    sweep(messages)
    assert messages.look(message).reason == "work_set_aside"

    with messages.tasks.database.unit_of_work() as uow:
        uow.session.merge(messages.work(message)).state = "ready"
    messages.send(message)

    assert messages.state(message) == "sent"


def test_revived_work_of_an_unknown_message_sends_nothing(
    messages: MessageHouse,
) -> None:
    message = messages.accept(messages.user())
    messages.change(message, state="unknown")

    assert messages.send(message) == "done"

    assert (messages.state(message), messages.arrivals()) == ("unknown", [])


def test_data_that_nobody_can_open_sets_the_work_aside(messages: MessageHouse) -> None:
    message = messages.accept(messages.user())
    messages.change(message, data_sealed=b"\x01" + bytes(40))

    with pytest.raises(WorkDead):
        messages.send(message)
    sweep(messages)

    assert messages.state(message) == "failed"


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"template_key": "gone"}, "not_configured"), ({"user_id": "u_9"}, "user_gone")],
)
def test_what_cannot_be_composed_fails_without_a_call(
    messages: MessageHouse, change: dict[str, str], reason: str
) -> None:
    message = messages.accept(messages.user())
    messages.user(2)
    messages.change(message, **change)
    if reason == "user_gone":
        with messages.tasks.database.unit_of_work() as uow:
            ensure_user(uow.session, "u_9", message.app_id, 0)

    messages.send(message)

    seen = messages.look(message)
    assert (seen.state, seen.reason, seen.attempts) == ("failed", reason, [])
    assert messages.arrivals() == []


def test_only_the_unknown_of_a_day_call_somebody(messages: MessageHouse) -> None:
    message = messages.accept(messages.user())
    messages.change(message, state="unknown")
    database = messages.tasks.database

    with database.read() as session:
        fresh = read_figures(session)
    messages.change(message, updated_at=message.created_at - 86_400_000)
    with database.read() as session:
        old = read_figures(session)

    assert (fresh.fresh_unknown, fresh.notifications["unknown"]) == (1, 1)
    assert (old.fresh_unknown, old.notifications["unknown"]) == (0, 1)
