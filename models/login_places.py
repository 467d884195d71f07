"""Where users and devices have logged in from, and what hangs together by that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from models.devices import Device
from models.logins import LoginEvent

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from models.behaviour_figures import Subject


def find_address(session: Session, user_id: str) -> str | None:
    """Return the address of the user's newest login; of IPv6, that of its network."""
    found = session.scalar(
        select(LoginEvent.ip)
        .where(LoginEvent.user_id == user_id, LoginEvent.ip.is_not(None))
        .order_by(LoginEvent.at.desc())
        .limit(1)
    )
    return None if found is None else found.partition("/")[0]


def list_linked(session: Session, subject: Subject, limit: int) -> list[str]:
    """Return the devices of a user or the users of a device, the latest seen first."""
    of_user = subject.kind == "user"
    own, other = (
        (Device.user_id, Device.device_id)
        if of_user
        else (Device.device_id, Device.user_id)
    )
    return list(
        session.scalars(
            select(other)
            .where(own == subject.id)
            .order_by(Device.last_seen_at.desc())
            .limit(limit)
        )
    )


def list_places(
    session: Session, subject: Subject, limit: int
) -> list[tuple[str, str]]:
    """Return pairs of address and device of a subject's sessions, the newest first.

    A device is looked for at its users, whose logins have an index.
    """
    users = [subject.id]
    if subject.kind == "device":
        users = list_linked(session, subject, limit)
    query = select(LoginEvent.ip, LoginEvent.device_id).where(
        LoginEvent.user_id.in_(users), LoginEvent.ip.is_not(None)
    )
    if subject.kind == "device":
        query = query.where(LoginEvent.device_id == subject.id)
    rows = session.execute(query.order_by(LoginEvent.at.desc()).limit(limit * 5))
    pairs = [(str(ip), device_id or "") for ip, device_id in rows]
    return list(dict.fromkeys(pairs))[:limit]
