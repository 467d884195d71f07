"""Subscribe messages as other systems and people ask for them: accept, look, act.

Nothing is sent here: the row and its work commit together, `tasks/notifications.py`
sends. What WeChat would refuse is refused now.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from config.logging import bound_id
from config.metrics.notifications import NOTIFICATIONS
from config.queues import Queue
from models.audit import record_act
from models.base import database_now, new_id
from models.errors import Conflict, NotFound, Unavailable
from models.identities import find_sealed_openid
from models.notification_states import Outcome, reopen, settle
from models.notifications import (
    SEALING_PURPOSE,
    WAITING,
    Notification,
    NotificationView,
    find_by_key,
    find_view,
    lock_notification,
    view_of,
)
from models.outbox_lease import cancel_row
from models.rivals import RIVAL_WROTE
from models.sealing import IdentityHasher, sealer_for
from models.users import ensure_user
from web.services.backlog_guard import BacklogGuard
from web.services.notification_request import check_content, check_send_at

if TYPE_CHECKING:
    from config.settings import Settings
    from models.database import Database, UnitOfWork
    from models.idempotency import Once
    from models.stores.container import Stores
    from web.services.notification_request import NewNotification

TASK: Final = "tasks.notifications.send_notification"
# Two that write under one key meet once; the other is found at the next look.
RIVAL_ATTEMPTS: Final = 3
RETRIABLE: Final = ("failed", "unknown")


class NotificationService:
    """Messages of all apps."""

    def __init__(self, settings: Settings, stores: Stores, database: Database) -> None:
        self._rules = settings.notifications
        self._app_ids = tuple(app.app_id for app in settings.wechat.apps)
        self._stores = stores
        self._database = database
        self._hasher = IdentityHasher(settings.secrets.id_key)
        self._sealer = sealer_for(settings.secrets, SEALING_PURPOSE)
        self._backlog = BacklogGuard(
            database, Queue.NOTIFICATIONS, self._rules.backlog, settings.operations
        )

    def accept(
        self, wanted: NewNotification, once: Once | None = None
    ) -> NotificationView:
        """Take a message, or return the one that was taken under its dedupe key.

        Raises `InvalidInput`, `NotFound` for a user the app does not have, `Conflict`
        for another content under the key, `Unavailable`.
        """
        template = check_content(wanted, self._app_ids)
        self._backlog.check()
        self._require_user(wanted.app_id, wanted.user_id)
        page = template.page if wanted.page is None else wanted.page
        for _ in range(RIVAL_ATTEMPTS):
            try:
                return self._database.transact(
                    lambda uow: self._find_or_add(uow, wanted, page), once
                )
            except RIVAL_WROTE:
                continue
        raise Unavailable("rivals under one dedupe key")

    def get(self, notification_id: str) -> NotificationView:
        """Return a message with its attempts; raises `NotFound`."""
        with self._database.read() as session:
            found = find_view(session, notification_id)
        if found is None:
            raise NotFound
        return found

    def cancel(
        self, notification_id: str, once: Once | None = None
    ) -> NotificationView:
        """Cancel a message that is not being sent; else `Conflict` (state_forbids)."""

        def act(uow: UnitOfWork) -> NotificationView:
            seen = uow.session.get(Notification, notification_id)
            if seen is None:
                raise NotFound
            # The journal's row first, as the sender locks them: one of us wins it.
            if seen.outbox_id is not None:
                cancel_row(uow.session, seen.outbox_id)
            row = lock_notification(uow.session, notification_id)
            if row is None or row.state not in WAITING:
                raise Conflict(reason="state_forbids")
            settle(uow, row, Outcome("cancelled"))
            record_act(uow.session, "notification.cancel", row.id)
            return view_of(uow.session, row)

        view = self._database.transact(act, once)
        NOTIFICATIONS.labels("cancelled", "person").inc()
        return view

    def retry(self, notification_id: str, once: Once | None = None) -> NotificationView:
        """Send a failed or unknown message anew; else `Conflict` (state_forbids).

        An unknown one may then arrive twice: that is for the person to decide.
        """

        def act(uow: UnitOfWork) -> NotificationView:
            row = lock_notification(uow.session, notification_id)
            if row is None:
                raise NotFound
            if row.state not in RETRIABLE:
                raise Conflict(reason="state_forbids")
            detail = f"from {row.state} {row.reason or ''}".rstrip()
            record_act(uow.session, "notification.retry", row.id, detail=detail)
            outbox_id = uow.enqueue(TASK, row.id, app_id=row.app_id)
            reopen(row, outbox_id, database_now(uow.session))
            return view_of(uow.session, row)

        return self._database.transact(act, once)

    def _require_user(self, app_id: str, user_id: str) -> None:
        with self._database.read() as session:
            if find_sealed_openid(session, app_id, user_id) is not None:
                return
        # The first login may be a moment old and not in SQL yet.
        (told,) = self._stores.wechat_keys.find([(app_id, user_id)])
        if told is None:
            raise NotFound("no such user of this app")

    def _find_or_add(
        self, uow: UnitOfWork, wanted: NewNotification, page: str
    ) -> NotificationView:
        content_hash = self._hasher.look_up("notification", wanted.canonical())
        if wanted.dedupe_key is not None:
            found = find_by_key(uow.session, wanted.app_id, wanted.dedupe_key)
            if found is not None and found.content_hash != content_hash:
                raise Conflict("another message has this dedupe key")
            if found is not None:
                return view_of(uow.session, found)
        return self._add(uow, wanted, page, content_hash)

    def _add(
        self, uow: UnitOfWork, wanted: NewNotification, page: str, content_hash: str
    ) -> NotificationView:
        session = uow.session
        now = database_now(session)
        send_at = check_send_at(wanted.send_at, now, self._rules)
        # Events are numbered in the user's row, which the first login may still lack.
        ensure_user(session, wanted.user_id, wanted.app_id, now)
        name = new_id("nt")
        data = json.dumps(dict(wanted.data), ensure_ascii=False)
        row = Notification(
            id=name,
            app_id=wanted.app_id,
            user_id=wanted.user_id,
            template_key=wanted.template_key,
            data_sealed=self._sealer.seal(data.encode(), name),
            page=page,
            dedupe_key=wanted.dedupe_key,
            content_hash=content_hash,
            outbox_id=uow.enqueue(
                TASK, name, due_at=max(send_at, now), app_id=wanted.app_id
            ),
            state="scheduled" if send_at > now else "created",
            send_at=send_at,
            busy_answers=0,
            request_id=bound_id("request_id"),
            created_at=now,
            updated_at=now,
        )
        session.add(row)
        session.flush()
        return view_of(session, row)
