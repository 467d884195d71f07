"""What a row says of what happened and when; never its payload or a person's data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from models.audit import AuditEntry
from models.idempotency import IdempotencyKey
from models.logins import LoginEvent
from models.notifications import Notification, NotificationAttempt
from models.operations import Operation, OperationError
from models.outbox import Outbox
from models.risk_marks import RiskMark
from models.schedule import ScheduleSlot
from models.security_events import SecurityEvent
from models.sessions import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Detail = dict[str, str | int]


class Entry(msgspec.Struct, frozen=True):
    """At ``at`` (epoch ms) ``what`` happened to the row ``id`` of a kind."""

    at: int
    kind: str
    id: str
    what: str
    detail: Detail


def entries_of(row: Any) -> Iterator[Entry]:  # noqa: ANN401 (a row of any table)
    """Return what ``row`` tells, oldest first."""
    return _TELLERS[type(row)](row)


def told(row: object, *names: str, **more: str | int | None) -> Detail:
    """Return the named columns of a row, and ``more``, as far as they have a value."""
    values = {name: getattr(row, name) for name in names} | more
    return {name: value for name, value in values.items() if value is not None}


def _outbox(row: Outbox) -> Iterator[Entry]:
    links = ("subject_id", "operation_id", "parent_id", "request_id")
    detail = told(row, "name", "lane", "due_at", *links)
    yield Entry(row.created_at, row.kind, row.id, "accepted", detail)
    if row.state != "ready" or row.updated_at != row.created_at:
        counts = told(row, "attempts", "sends", "deaths", "last_error")
        # Celery's id of the newest message: Flower lists it under this.
        task_id = row.message_id if row.sends else None
        detail = counts | told(row, task_id=task_id, next_at=_next_at(row))
        yield Entry(row.updated_at, row.kind, row.id, row.state, detail)


def _next_at(row: Outbox) -> int | None:
    return row.visible_at if row.state in ("ready", "sent") else None


def _operation(row: Operation) -> Iterator[Entry]:
    detail = told(row, "user_id", "parent_id", "request_id", name=row.kind)
    yield Entry(row.created_at, "operation", row.id, "accepted", detail)
    if row.started_at is not None:
        yield Entry(row.started_at, "operation", row.id, "running", {})
    if row.finished_at is not None:
        reason = None
        if row.error is not None:
            reason = msgspec.json.decode(row.error, type=OperationError).reason
        detail = told(row, "percent", reason=reason)
        yield Entry(row.finished_at, "operation", row.id, row.state, detail)
    elif row.percent:
        detail = told(row, "percent")
        yield Entry(row.updated_at, "operation", row.id, "progress", detail)


def _notification(row: Notification) -> Iterator[Entry]:
    detail = told(row, "template_key", "user_id", "app_id", "send_at", "request_id")
    yield Entry(row.created_at, "notification", row.id, "created", detail)
    if row.sent_at is not None:
        detail = told(row, "wechat_msgid")
        yield Entry(row.sent_at, "notification", row.id, "sent", detail)
    if row.state not in ("created", "sent"):
        detail = told(row, "errcode", "reason")
        yield Entry(row.updated_at, "notification", row.id, row.state, detail)


def _attempt(row: NotificationAttempt) -> Iterator[Entry]:
    detail = told(row, "notification_id", "outbox_id", "errcode")
    yield Entry(row.at, "wechat", row.id, row.outcome, detail)


def _login(row: LoginEvent) -> Iterator[Entry]:
    detail = told(row, "user_id", "session_id", "app_id", "request_id")
    yield Entry(row.at, "login", row.id, "logged in", detail)


def _kept_answer(row: IdempotencyKey) -> Iterator[Entry]:
    # The key is the client's own; a record is called after its first request.
    name = row.request_id or row.route
    detail = told(row, "route", "user_id", "subject_id", "reason", "expires_at")
    yield Entry(row.created_at, "idempotency", name, "claimed", detail)


def _session(row: Session) -> Iterator[Entry]:
    detail = told(row, "user_id", "app_id", "generation", "expires_at")
    yield Entry(row.created_at, "session", row.id, "opened", detail)
    if row.revoked_at is not None:
        yield Entry(row.revoked_at, "session", row.id, "revoked", {})


def _slot(row: ScheduleSlot) -> Iterator[Entry]:
    name = f"{row.job}@{row.due}"
    detail = told(row, "job", "due", "outbox_id")
    what = "missed" if row.state == "missed" else "taken"
    yield Entry(row.taken_at, "slot", name, what, detail)
    if row.finished_at is not None:
        yield Entry(row.finished_at, "slot", name, row.state, {})


def _security_event(row: SecurityEvent) -> Iterator[Entry]:
    detail = told(row, "user_id", "app_id", "session_id", "device_id", "request_id")
    yield Entry(row.at, "security", row.id, row.kind, detail)


def _risk_mark(row: RiskMark) -> Iterator[Entry]:
    detail = told(row, "rule", "score", "ends_at", "evidence", "wechat_rank")
    detail |= {row.subject_kind: row.subject_id}
    what = "marked" if row.state == "active" else row.state
    yield Entry(row.at, "risk_mark", row.id, what, detail)


def _audit(row: AuditEntry) -> Iterator[Entry]:
    detail = told(row, "actor", "subject_id", "request_id", words=row.detail)
    yield Entry(row.at, "audit", row.id, row.act, detail)


_TELLERS: dict[type, Callable[[Any], Iterator[Entry]]] = {
    Outbox: _outbox,
    Operation: _operation,
    Notification: _notification,
    NotificationAttempt: _attempt,
    IdempotencyKey: _kept_answer,
    LoginEvent: _login,
    Session: _session,
    ScheduleSlot: _slot,
    SecurityEvent: _security_event,
    RiskMark: _risk_mark,
    AuditEntry: _audit,
}
