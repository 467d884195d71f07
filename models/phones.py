"""Phone numbers: sealed, found by keyed hash, one account of an app for each."""

from __future__ import annotations

from sqlalchemy import LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import TABLE_OPTIONS, AppId, Base, EpochMs, Id


class Phone(Base):
    """The number a user has bound; ``masked`` is what answers show."""

    __tablename__ = "phones"
    __table_args__ = (UniqueConstraint("app_id", "phone_hash"), TABLE_OPTIONS)

    user_id: Mapped[Id] = mapped_column(primary_key=True)
    app_id: Mapped[AppId]
    phone_hash: Mapped[str] = mapped_column(String(64))
    phone_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    country_code: Mapped[str] = mapped_column(String(8))
    masked: Mapped[str] = mapped_column(String(32))
    bound_at: Mapped[EpochMs]
