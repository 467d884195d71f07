"""The way of a message in one process: service, task, and a simulated WeChat.

The relay's part is played by the test: it hands over the row of the message's work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from config.clock import now_ms
from models.audit import AuditEntry
from models.identities import write_identities
from models.login_entry import LoginEntry
from models.notifications import Notification, NotificationView
from models.outbox import Outbox
from models.user_events import UserEvent
from models.users import ensure_user
from tasks.login_batch import Sealing
from tasks.notifications import send_notification
from tests.integration.journals import APP, make_login, openid, secrets_of
from web.services.notification_request import NewNotification
from web.services.notifications import NotificationService

if TYPE_CHECKING:
    from tasks.app import Resources
    from wechat.simulator.state import Delivery
    from wechat.simulator.transport import SimulatedTransport

SEND = "/cgi-bin/message/subscribe/send"
TOKEN = "/cgi-bin/stable_token"
TEMPLATE = "demo_appointment"
DATA = {"thing1": "Haircut", "time2": "2026-11-26 10:30", "thing3": "Bring a friend"}
# A WeChat that says nothing is not waited for long, one that answers well enough.
HASTE = {
    "WECHAT_READ_TIMEOUT_S": "2.5",
    "NOTIFICATION_CALL_S": "5",
    "NOTIFICATION_RECORD_S": "20",
    "BACKLOG_FRESH_S": "0",
}


@dataclass
class MessageHouse:
    """What sends messages, and what a test wants to see of it."""

    tasks: Resources
    wechat: SimulatedTransport
    service: NotificationService

    def user(self, number: int = 1, grants: int = 9) -> str:
        """Make a user who has logged in and accepted ``grants`` messages."""
        entry = make_login(self.tasks, number)
        with self.tasks.database.unit_of_work() as uow:
            ensure_user(uow.session, entry.user_id, APP, entry.at)
            write_identities(uow.session, [entry], lambda _: [self._identity(entry)])
        self.wechat.control("POST", "/_sim/users", {"openid": openid(number)})
        self.grant(number, grants)
        return entry.user_id

    def _identity(self, entry: LoginEntry) -> Any:
        number = int(str(entry.device.id).rpartition("-")[2]) if entry.device else 1
        return Sealing(self.tasks).row(APP, entry.user_id, secrets_of(number))

    def grant(self, number: int, times: int) -> None:
        """Let a user accept the template in the popup."""
        asked = {"openid": openid(number), "template_id": TEMPLATE, "result": "accept"}
        for _ in range(times):
            self.wechat.control("POST", "/_sim/subscribe", asked)

    def accept(self, user_id: str, **changes: Any) -> NotificationView:
        """Accept one message."""
        return self.service.accept(wanted(user_id, **changes))

    def outbox_id(self, message: NotificationView) -> str:
        """Return the work that sends a message now."""
        return str(self.row(message).outbox_id)

    def send(self, message: NotificationView) -> str:
        """Run the message's work once, as the notifier does; returns its outcome."""
        outcome: str = send_notification(self.outbox_id(message))
        return outcome

    def look(self, message: NotificationView) -> NotificationView:
        """Return the message as it is now."""
        return self.service.get(message.id)

    def state(self, message: NotificationView) -> str:
        """Return the state as it is now."""
        return self.look(message).state

    def row(self, message: NotificationView) -> Notification:
        """Return the committed row."""
        with self.tasks.database.read() as session:
            return session.get_one(Notification, message.id)

    def work(self, message: NotificationView) -> Outbox:
        """Return the committed row of the message's work."""
        with self.tasks.database.read() as session:
            return session.get_one(Outbox, self.row(message).outbox_id)

    def change(self, message: NotificationView, **values: object) -> None:
        """Set columns, as a process that died a moment ago left them."""
        with self.tasks.database.unit_of_work() as uow:
            row = uow.session.get_one(Notification, message.id)
            for name, value in values.items():
                setattr(row, name, value)

    def change_work(self, row_id: str, **values: object) -> None:
        """Set columns of a row of the outbox."""
        with self.tasks.database.unit_of_work() as uow:
            its = sa.update(Outbox).where(Outbox.id == row_id)
            uow.session.execute(its.values(**values))

    def arrivals(self) -> list[Delivery]:
        """Return every send call that reached WeChat."""
        return list(self.wechat.state.deliveries)

    def fault(self, mode: str, path: str = SEND, **how: Any) -> None:
        """Let calls go wrong."""
        body = {"path": path, "mode": mode, **how}
        self.wechat.control("POST", "/_sim/faults", body)

    def heal(self) -> None:
        """Let calls go well again."""
        self.wechat.control("DELETE", "/_sim/faults")

    def events(self) -> list[dict[str, Any]]:
        """Return what users were told."""
        with self.tasks.database.read() as session:
            rows = session.execute(sa.select(UserEvent.type, UserEvent.data)).all()
        return [{"type": kind, **msgspec.json.decode(data)} for kind, data in rows]

    def acts(self) -> list[tuple[str, str]]:
        """Return what people did: (act, subject)."""
        with self.tasks.database.read() as session:
            found = session.execute(sa.select(AuditEntry.act, AuditEntry.subject_id))
            return [(act, subject) for act, subject in found]


def wanted(user_id: str, **changes: Any) -> NewNotification:
    """Return a legal request with some fields changed."""
    fields: dict[str, Any] = {
        "app_id": APP,
        "user_id": user_id,
        "template_key": "appointment",
        "data": DATA,
    }
    return NewNotification(**{**fields, **changes})


def in_seconds(seconds: float) -> int:
    """Return a moment of the near future (or past) as epoch ms."""
    return now_ms() + int(seconds * 1000)
