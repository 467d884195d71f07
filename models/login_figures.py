"""Counts over devices and logins for the behaviour rules; reads only, by index."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func, select

from models.devices import Device
from models.logins import LoginEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session


class SeenLogin(NamedTuple):
    """A login: who, in which app, from which device."""

    user_id: str
    app_id: str
    device_id: str


def list_recent_logins(session: Session, since: int, limit: int) -> list[SeenLogin]:
    """Return up to ``limit`` logins with a device since ``since``, newest first."""
    rows = session.execute(
        select(LoginEvent.user_id, LoginEvent.app_id, LoginEvent.device_id)
        .where(LoginEvent.at >= since, LoginEvent.device_id.is_not(None))
        .order_by(LoginEvent.at.desc())
        .limit(limit)
    )
    return [SeenLogin(user, app, device) for user, app, device in rows if device]


def count_users(
    session: Session, device_ids: Sequence[str], since: int
) -> dict[str, int]:
    """Return how many users have used each device since ``since``."""
    rows = session.execute(
        select(Device.device_id, func.count())
        .where(Device.device_id.in_(device_ids), Device.last_seen_at >= since)
        .group_by(Device.device_id)
    )
    return {row[0]: row[1] for row in rows}


def count_devices(
    session: Session, user_ids: Sequence[str], since: int
) -> dict[str, int]:
    """Return how many devices each user has used since ``since``."""
    rows = session.execute(
        select(Device.user_id, func.count())
        .where(Device.user_id.in_(user_ids), Device.last_seen_at >= since)
        .group_by(Device.user_id)
    )
    return {row[0]: row[1] for row in rows}


def find_apps_of_devices(session: Session, device_ids: Sequence[str]) -> dict[str, str]:
    """Return an app of each device that a login came from; the others are nobody's."""
    rows = session.execute(
        select(Device.device_id, func.min(Device.app_id))
        .where(Device.device_id.in_(device_ids))
        .group_by(Device.device_id)
    )
    return {row[0]: row[1] for row in rows}
