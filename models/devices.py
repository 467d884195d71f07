"""Devices a user has logged in from, as the mini-program describes them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from models.base import TABLE_OPTIONS, AppId, Base, DeviceId, EpochMs, Id

# A control character would survive JSON and spoil logs and columns.
_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
_Text32 = Annotated[str, msgspec.Meta(min_length=1, max_length=32, pattern=_PRINTABLE)]
_Text64 = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=_PRINTABLE)]


class DeviceInfo(
    msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What a client says about its device; hints, never proof."""

    id: _Text64
    model: _Text64 | None = None
    platform: _Text32 | None = None
    system: _Text64 | None = None
    wechat_version: _Text32 | None = None


class Device(Base):
    """One device of one user."""

    __tablename__ = "devices"
    __table_args__ = (TABLE_OPTIONS,)

    user_id: Mapped[Id] = mapped_column(primary_key=True)
    device_id: Mapped[DeviceId] = mapped_column(primary_key=True)
    app_id: Mapped[AppId]
    model: Mapped[str | None] = mapped_column(String(64))
    platform: Mapped[str | None] = mapped_column(String(32))
    system: Mapped[str | None] = mapped_column(String(64))
    wechat_version: Mapped[str | None] = mapped_column(String(32))
    first_seen_at: Mapped[EpochMs]
    last_seen_at: Mapped[EpochMs]
