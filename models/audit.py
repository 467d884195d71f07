"""What people did from the internal listener: who, what, to which row, when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from config.logging import bound_id
from models.base import TABLE_OPTIONS, Base, EpochMs, Id, database_now, new_id

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

DETAIL_LENGTH = 500


class AuditEntry(Base):
    """One act of a person; written in the commit of the act itself."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index(None, "subject_id"),
        Index(None, "request_id"),
        Index(None, "at"),
        TABLE_OPTIONS,
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    at: Mapped[EpochMs]
    actor: Mapped[str] = mapped_column(String(64))
    act: Mapped[str] = mapped_column(String(40))
    subject_id: Mapped[Id]
    request_id: Mapped[str | None] = mapped_column(String(64))
    detail: Mapped[str | None] = mapped_column(String(DETAIL_LENGTH))


def record_act(
    session: Session,
    act: str,
    subject_id: str,
    *,
    actor: str = "admin",
    detail: str = "",
) -> None:
    """Write down that ``actor`` did ``act`` (``outbox.replay``) to ``subject_id``."""
    session.add(
        AuditEntry(
            id=new_id("au"),
            at=database_now(session),
            actor=actor,
            act=act,
            subject_id=subject_id,
            request_id=bound_id("request_id"),
            detail=detail[:DETAIL_LENGTH] or None,
        )
    )
