"""Devices a user has logged in from; `device_info` is what a client says of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Index, String
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


def write_devices(session: Session, fresh: Sequence[LoginEntry]) -> None:
    """Insert or renew the devices that ``fresh`` logins came from."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in fresh:
        if entry.device is None:
            continue
        first = rows.get((entry.user_id, entry.device.id), {}).get("first_seen_at")
        rows[entry.user_id, entry.device.id] = {
            "user_id": entry.user_id,
            "device_id": entry.device.id,
            "app_id": entry.app_id,
            "model": entry.device.model,
            "platform": entry.device.platform,
            "system": entry.device.system,
            "wechat_version": entry.device.wechat_version,
            "first_seen_at": first or entry.at,
            "last_seen_at": entry.at,
        }
    described = ("model", "platform", "system", "wechat_version")
    change = {**dict.fromkeys(described, "set"), "last_seen_at": "max"}
    upsert(session, Device.__table__, [rows[key] for key in sorted(rows)], change)
