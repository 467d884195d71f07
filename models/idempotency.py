"""Answers kept under an Idempotency-Key, written in the commit of their effect.

`web/dispatch.py` replays them; see the contract's section on idempotency.
"""

from __future__ import annotations

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from models.base import LONG_TEXT, TABLE_OPTIONS, Base, EpochMs, Id


class IdempotencyKey(Base):
    """What a user's request under a key was answered; ``answer`` is JSON text.

    ``answer`` is empty between the commit of the effect and the finished answer.
    """

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index(None, "expires_at"), TABLE_OPTIONS)

    user_id: Mapped[Id] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(String(80), primary_key=True)
    key_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    body_hash: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str | None] = mapped_column(String(40))
    answer: Mapped[str | None] = mapped_column(LONG_TEXT)
    subject_id: Mapped[Id | None]
    request_id: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[EpochMs]
    expires_at: Mapped[EpochMs]
