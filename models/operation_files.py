"""Result files of operations: sealed pieces in SQL, so that any host can serve them.

`tasks/exports.py` writes them, `web/services/operation_files.py` reads them back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Index, Integer, LargeBinary, delete, insert, select, tuple_
from sqlalchemy.orm import Mapped, mapped_column

from models.base import TABLE_OPTIONS, Base, EpochMs, Id, database_now_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session


class OperationFile(Base):
    """Piece ``part`` of an operation's file; at most 48 kB, below a BLOB's 64 kB."""

    __tablename__ = "operation_files"
    __table_args__ = (Index(None, "expires_at"), TABLE_OPTIONS)

    operation_id: Mapped[Id] = mapped_column(primary_key=True)
    part: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[EpochMs]


def piece_owner(operation_id: str, part: int) -> str:
    """Return what piece ``part`` is sealed for: in no other place does it open."""
    return f"{operation_id}:{part}"


def write_pieces(
    session: Session,
    operation_id: str,
    first: int,
    bodies: Sequence[bytes],
    expires_at: int,
) -> None:
    """Insert sealed pieces that follow each other, beginning with part ``first``."""
    rows = [
        {
            "operation_id": operation_id,
            "part": part,
            "body": body,
            "expires_at": expires_at,
        }
        for part, body in enumerate(bodies, first)
    ]
    # One statement a piece: joined, a few of them pass a server's packet limit.
    for row in rows:
        session.execute(insert(OperationFile).values(row))


def find_piece(session: Session, operation_id: str, part: int) -> bytes | None:
    """Return a sealed piece, None when there is none or its time is over."""
    return session.scalar(
        select(OperationFile.body).where(
            OperationFile.operation_id == operation_id,
            OperationFile.part == part,
            OperationFile.expires_at > database_now_ms(),
        )
    )


def delete_files(session: Session, operation_ids: Sequence[str]) -> None:
    """Delete every piece of these operations."""
    session.execute(
        delete(OperationFile)
        .where(OperationFile.operation_id.in_(operation_ids))
        .execution_options(synchronize_session=False)
    )


def prune(session: Session, *, before: int, limit: int) -> int:
    """Delete up to ``limit`` pieces whose time was over at ``before`` (epoch ms)."""
    keys = session.execute(
        select(OperationFile.operation_id, OperationFile.part)
        .where(OperationFile.expires_at < before)
        .limit(limit)
    ).all()
    if keys:
        key = tuple_(OperationFile.operation_id, OperationFile.part)
        pieces = delete(OperationFile).where(key.in_([tuple(row) for row in keys]))
        session.execute(pieces.execution_options(synchronize_session=False))
    return len(keys)
