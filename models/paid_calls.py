"""The ledger of calls that WeChat bills, reserved before the call is made."""

from __future__ import annotations

from sqlalchemy import Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from models.base import TABLE_OPTIONS, AppId, Base, EpochMs, Id


class PaidCall(Base):
    """One call; ``state`` reserved, charged, free or unknown, money in fen."""

    __tablename__ = "paid_calls"
    __table_args__ = (
        Index(None, "app_id", "at"),
        Index(None, "user_id", "at"),
        Index(None, "at"),
        TABLE_OPTIONS,
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    app_id: Mapped[AppId]
    user_id: Mapped[Id]
    kind: Mapped[str] = mapped_column(String(24))
    cost_fen: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(10))
    at: Mapped[EpochMs]
    settled_at: Mapped[EpochMs | None]
