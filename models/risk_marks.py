"""What the behaviour rules found about users and devices, with the evidence."""

from __future__ import annotations

from sqlalchemy import Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from models.base import LONG_TEXT, TABLE_OPTIONS, AppId, Base, EpochMs, Id


class RiskMark(Base):
    """One rule's finding; ``state`` active or cleared, void after ``ends_at``.

    ``wechat_rank`` (0-4) is what WeChat said when it was asked, at ``rank_at``.
    """

    __tablename__ = "risk_marks"
    __table_args__ = (
        Index(None, "subject_kind", "subject_id", "at"),
        Index(None, "ends_at"),
        TABLE_OPTIONS,
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    subject_kind: Mapped[str] = mapped_column(String(8))
    subject_id: Mapped[str] = mapped_column(String(64))
    app_id: Mapped[AppId]
    rule: Mapped[str] = mapped_column(String(40))
    score: Mapped[int] = mapped_column(Integer)
    evidence: Mapped[str] = mapped_column(LONG_TEXT)
    state: Mapped[str] = mapped_column(String(8))
    at: Mapped[EpochMs]
    ends_at: Mapped[EpochMs]
    cleared_by: Mapped[str | None] = mapped_column(String(64))
    wechat_rank: Mapped[int | None] = mapped_column(Integer)
    rank_at: Mapped[EpochMs | None]
