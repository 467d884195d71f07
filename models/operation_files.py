"""Result files of operations: sealed pieces in SQL, so that any host can serve them.

`tasks/exports.py` writes them, `web/services/operations.py` reads them back.
"""

from __future__ import annotations

from sqlalchemy import Index, Integer, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from models.base import TABLE_OPTIONS, Base, EpochMs, Id


class OperationFile(Base):
    """Piece ``part`` of an operation's file; at most 48 kB, below a BLOB's 64 kB."""

    __tablename__ = "operation_files"
    __table_args__ = (Index(None, "expires_at"), TABLE_OPTIONS)

    operation_id: Mapped[Id] = mapped_column(primary_key=True)
    part: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[EpochMs]
