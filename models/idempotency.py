"""Answers kept under an Idempotency-Key, written in the commit of their effect.

`models/database.py` claims the key inside the effect's own transaction, so a rival in
another process waits for that commit and meets the row. `web/services/idempotency.py`
stores the answers that are known only later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import msgspec
from sqlalchemy import (
    ColumnElement,
    Index,
    String,
    delete,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from models.base import (
    LONG_TEXT,
    TABLE_OPTIONS,
    Base,
    EpochMs,
    Id,
    database_now_ms,
)
from models.errors import KeyReused

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

T = TypeVar("T")
encode_answer = msgspec.json.Encoder().encode


class IdempotencyKey(Base):
    """What a user's request under a key was answered; ``answer`` is JSON text.

    ``answer`` and ``reason`` are empty between the commit of the effect and the
    finished answer, which can be made again from ``subject_id``. With an answer that
    is the token that ended its own session, if it did.
    """

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        Index(None, "expires_at"),
        Index(None, "request_id"),
        TABLE_OPTIONS,
    )

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


class KeptAnswer(NamedTuple):
    """How a request ended: ``data`` as JSON, or the ``reason`` it was refused with."""

    data: bytes = b""
    reason: str | None = None


@dataclass(slots=True)
class Once:
    """One request under an Idempotency-Key; ``kept`` is what a commit of it holds.

    ``token_id`` names the token of a request that may end its own session.
    """

    user_id: str
    route: str
    key_hash: str
    body_hash: str
    request_id: str
    keep_s: int
    token_id: str | None = None
    kept: KeptAnswer | None = None

    @property
    def flight(self) -> tuple[str, ...]:
        """What makes two requests equal."""
        return self.user_id, self.route, self.key_hash, self.body_hash


@dataclass(frozen=True, slots=True)
class Later(Generic[T]):
    """How to answer when that is known only after the commit (``wait_ms``).

    ``subject_of`` names the row the answer is made from (an operation's id), and
    ``again`` loads that row anew when a process died before it had the answer.
    """

    subject_of: Callable[[T], str]
    again: Callable[[Session, str], T]


class Replayed(Exception):
    """The request has been answered already: ``kept`` is that answer.

    No `KuaidaError`: nothing is wrong, and nobody below the dispatcher handles it.
    """

    def __init__(self, kept: KeptAnswer) -> None:
        super().__init__()
        self.kept = kept


def act_once(
    session: Session, once: Once, act: Callable[[], T], later: Later[T] | None
) -> tuple[T, KeptAnswer | None]:
    """Claim the key, act, and keep what ``act`` returns, all in this transaction.

    Returns the result and the answer that the commit will hold, None with ``later``.
    Raises `Replayed` when the key has its answer and `KeyReused` when it was used for
    another body; the transaction is to be rolled back then.
    """
    subject_id = _claim(session, once)
    if subject_id is not None:
        if later is None:
            raise RuntimeError(once.route)
        return later.again(session, subject_id), None
    result = act()
    if later is not None:
        _change(session, once, subject_id=later.subject_of(result))
        return result, None
    kept = KeptAnswer(encode_answer(result))
    _change(session, once, answer=kept.data.decode(), subject_id=once.token_id)
    return result, kept


def settle(session: Session, once: Once, mine: KeptAnswer) -> KeptAnswer:
    """Keep ``mine`` unless the key has its answer; return the one that stands.

    Raises `KeyReused` when the key was used for another body meanwhile.
    """
    answer = None if mine.reason else mine.data.decode()
    if _change(session, once, answer=answer, reason=mine.reason):
        return mine
    try:
        _claim(session, once)
    except Replayed as rival:
        return rival.kept
    _change(session, once, answer=answer, reason=mine.reason)
    return mine


def recall(session: Session, once: Once) -> KeptAnswer | None:
    """Return the answer that the key has; None when it has none.

    Where ``once`` names its token, only the answer to that very token. Raises
    `KeyReused` when the key was used for another body.
    """
    row = IdempotencyKey
    asked = [*_is(once), row.expires_at > database_now_ms()]
    if once.token_id is not None:
        asked.append(row.subject_id == once.token_id)
    found = session.execute(
        select(row.body_hash, row.answer, row.reason).where(*asked)
    ).one_or_none()
    if found is None:
        return None
    body_hash, answer, reason = found
    if body_hash != once.body_hash:
        raise KeyReused
    if answer is None and reason is None:
        return None
    return KeptAnswer((answer or "").encode(), reason)


def prune(session: Session, *, before: int, limit: int) -> int:
    """Delete up to ``limit`` keys that ended before ``before`` (epoch ms)."""
    key = tuple_(IdempotencyKey.user_id, IdempotencyKey.route, IdempotencyKey.key_hash)
    found = session.execute(
        select(IdempotencyKey.user_id, IdempotencyKey.route, IdempotencyKey.key_hash)
        .where(IdempotencyKey.expires_at < before)
        .limit(limit)
    ).all()
    if found:
        session.execute(
            delete(IdempotencyKey).where(key.in_([tuple(row) for row in found]))
        )
    return len(found)


def _claim(session: Session, once: Once) -> str | None:
    """Insert the row; return the subject of one that still lacks its answer."""
    row = {
        "user_id": once.user_id,
        "route": once.route,
        "key_hash": once.key_hash,
        **_fresh(once),
    }
    try:
        # Not through the session: its failed flush would end the transaction.
        session.connection().execute(insert(IdempotencyKey).values(row))
    except IntegrityError:
        # A rival's commit. The failed insert keeps the row locked until we end.
        return _meet(session, once)
    return None


def _meet(session: Session, once: Once) -> str | None:
    row = IdempotencyKey
    found = session.execute(
        select(
            row.body_hash,
            row.answer,
            row.reason,
            row.subject_id,
            row.expires_at <= database_now_ms(),
        ).where(*_is(once))
    ).one()
    body_hash, answer, reason, subject_id, is_over = found
    if is_over:
        session.execute(update(row).where(*_is(once)).values(_fresh(once)))
        return None
    if body_hash != once.body_hash:
        raise KeyReused
    if reason is not None:
        raise Replayed(KeptAnswer(reason=reason))
    if answer is not None:
        raise Replayed(KeptAnswer(answer.encode()))
    return str(subject_id)


def _fresh(once: Once) -> dict[str, Any]:
    now = database_now_ms()
    return {
        "body_hash": once.body_hash,
        "reason": None,
        "answer": None,
        "subject_id": None,
        "request_id": once.request_id,
        "created_at": now,
        "expires_at": now + once.keep_s * 1000,
    }


def _change(session: Session, once: Once, **values: str | None) -> bool:
    """Fill a row of this request that has no answer; False when there is none."""
    row = IdempotencyKey
    lacks_answer = row.answer.is_(None) & row.reason.is_(None)
    # MySQL reports rows matched, not rows changed (CLIENT.FOUND_ROWS).
    changed: Any = session.execute(
        update(row)
        .where(*_is(once), row.body_hash == once.body_hash, lacks_answer)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return bool(changed.rowcount)


def _is(once: Once) -> tuple[ColumnElement[bool], ...]:
    row = IdempotencyKey
    return (
        row.user_id == once.user_id,
        row.route == once.route,
        row.key_hash == once.key_hash,
    )
