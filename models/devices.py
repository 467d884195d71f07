"""Devices a user has logged in from; `device_info` is what a client says of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Index, String, select
from sqlalchemy.orm import Mapped, mapped_column

from models.base import TABLE_OPTIONS, AppId, Base, DeviceId, EpochMs, Id, upsert

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from models.login_entry import LoginEntry


class Device(Base):
    """One device of one user."""

    __tablename__ = "devices"
    __table_args__ = (Index(None, "device_id"), TABLE_OPTIONS)

    user_id: Mapped[Id] = mapped_column(primary_key=True)
    device_id: Mapped[DeviceId] = mapped_column(primary_key=True)
    app_id: Mapped[AppId]
    model: Mapped[str | None] = mapped_column(String(64))
    platform: Mapped[str | None] = mapped_column(String(32))
    system: Mapped[str | None] = mapped_column(String(64))
    wechat_version: Mapped[str | None] = mapped_column(String(32))
    first_seen_at: Mapped[EpochMs]
    last_seen_at: Mapped[EpochMs]


def write_devices(session: Session, fresh: Sequence[LoginEntry]) -> list[LoginEntry]:
    """Insert or renew the devices that ``fresh`` logins came from.

    Returns the logins that brought a device their user had never used, though they
    had others. The users' rows are locked: nobody else adds devices to them.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    first: dict[tuple[str, str], LoginEntry] = {}
    for entry in fresh:
        if entry.device is None:
            continue
        pair = (entry.user_id, entry.device.id)
        first.setdefault(pair, entry)
        rows[pair] = {
            "user_id": entry.user_id,
            "device_id": entry.device.id,
            "app_id": entry.app_id,
            "model": entry.device.model,
            "platform": entry.device.platform,
            "system": entry.device.system,
            "wechat_version": entry.device.wechat_version,
            "first_seen_at": first[pair].at,
            "last_seen_at": entry.at,
        }
    added = _added(session, first)
    described = ("model", "platform", "system", "wechat_version")
    change = {**dict.fromkeys(described, "set"), "last_seen_at": "max"}
    upsert(session, Device.__table__, [rows[key] for key in sorted(rows)], change)
    return added


def _added(
    session: Session, first: dict[tuple[str, str], LoginEntry]
) -> list[LoginEntry]:
    # All devices of these users, a handful each: asking for the pairs costs a batch
    # of 500 logins a third more.
    known = session.execute(
        select(Device.user_id, Device.device_id).where(
            Device.user_id.in_({user_id for user_id, _ in first}),
        )
    )
    unknown = {**first}
    for user_id, device_id in known:
        unknown.pop((user_id, device_id), None)
    if not unknown:
        return []
    users = sorted({user_id for user_id, _ in unknown})
    owned = select(Device.user_id).where(Device.user_id.in_(users)).distinct()
    # Of a user without any device, the first one is nothing new.
    owners = set(session.scalars(owned))
    added = []
    for (user_id, _), entry in sorted(unknown.items(), key=lambda item: item[1].id):
        if user_id in owners:
            added.append(entry)
        owners.add(user_id)
    return added
