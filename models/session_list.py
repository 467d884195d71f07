"""A user's live sessions with their devices, newest first; SQL's side.

`models/stores/session_list.py` knows those that enrichment has not written yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, func, or_, select

from models.base import database_now_ms
from models.devices import Device
from models.sessions import Session
from models.users import User

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Row, Select
    from sqlalchemy.orm import Session as SqlSession

# Where a page begins: behind the session opened then, with that id.
Place = tuple[int, str]
DESCRIBED = ("model", "platform", "system", "wechat_version")


class DeviceFacts(NamedTuple):
    """What the client said of the device it logged in from."""

    id: str
    model: str | None = None
    platform: str | None = None
    system: str | None = None
    wechat_version: str | None = None


class LiveSession(NamedTuple):
    """A session that counts; times are epoch ms."""

    id: str
    created_at: int
    last_seen_at: int
    ip: str | None = None
    device: DeviceFacts | None = None

    @property
    def place(self) -> Place:
        """Its place in the list."""
        return self.created_at, self.id


def list_live(
    session: SqlSession, user_id: str, before: Place | None, limit: int
) -> list[LiveSession]:
    """Return up to ``limit`` live sessions that stand behind ``before``.

    A session of an epoch that is over does not live, ended or not.
    """
    query = _query(user_id)
    if before is not None:
        at, session_id = before
        query = query.where(
            or_(
                Session.created_at < at,
                and_(Session.created_at == at, Session.id < session_id),
            )
        )
    newest = query.order_by(Session.created_at.desc(), Session.id.desc())
    return [_live(row) for row in session.execute(newest.limit(limit))]


def list_known(session: SqlSession, session_ids: Collection[str]) -> set[str]:
    """Return those of ``session_ids`` that have a row, live or not."""
    if not session_ids:
        return set()
    return set(session.scalars(select(Session.id).where(Session.id.in_(session_ids))))


def _query(user_id: str) -> Select[Any]:
    described = (getattr(Device, name) for name in DESCRIBED)
    return (
        select(
            Session.id,
            Session.created_at,
            Session.last_seen_at,
            Session.ip,
            Session.device_id,
            *described,
        )
        .outerjoin(User, User.id == Session.user_id)
        .outerjoin(
            Device,
            and_(
                Device.user_id == Session.user_id,
                Device.device_id == Session.device_id,
            ),
        )
        .where(
            Session.user_id == user_id,
            Session.revoked_at.is_(None),
            Session.expires_at > database_now_ms(),
            Session.epoch >= func.coalesce(User.epoch, 0),
        )
    )


def _live(row: Row[Any]) -> LiveSession:
    device = None
    if row.device_id is not None:
        device = DeviceFacts(row.device_id, *(getattr(row, n) for n in DESCRIBED))
    return LiveSession(row.id, row.created_at, row.last_seen_at, row.ip, device)
