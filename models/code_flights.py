"""Login codes in SQL while Redis is away: who exchanges one, and what came of it.

A row of `idempotency_keys` that is nobody's stands for a code: in flight as long as its
leader may take, then with the record that Redis would keep, as long as a code lives. It
holds ids only, under a keyed hash of the code. `web/services/login_fallback.py` flies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from sqlalchemy import ColumnElement, delete, insert, select, update

from models.base import database_now, database_now_ms, upsert
from models.idempotency import IdempotencyKey
from models.rivals import RIVAL_WROTE

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

# No user's id and no route's name: no client's key meets such a row.
NOBODY: Final = "-"
ROUTE: Final = "login code"


class CodeFlight(NamedTuple):
    """The verdict on a code: lead its exchange, join one, or take its record."""

    verdict: Literal["lead", "join", "known"]
    record: bytes = b""


def board_flight(
    session: Session, code_hash: str, mark: str, lease_ms: int
) -> CodeFlight:
    """Say who exchanges the code; ``mark`` names the flight of this caller.

    A flight that has lasted longer than its leader's ``lease_ms`` is led anew.
    """
    row = IdempotencyKey
    found = session.execute(
        select(row.body_hash, row.answer, row.expires_at <= database_now_ms()).where(
            *_is(code_hash)
        )
    ).one_or_none()
    if found is None:
        leads = _begin(session, code_hash, mark, lease_ms)
    elif found[2]:
        leads = _take_over(session, code_hash, found[0], (mark, lease_ms))
    elif found[1] is not None:
        return CodeFlight("known", found[1].encode())
    else:
        leads = False
    return CodeFlight("lead" if leads else "join")


def find_landed(session: Session, code_hash: str) -> bytes | None:
    """Return the code's record, nothing where none is to come, None in flight."""
    row = IdempotencyKey
    found = session.execute(
        select(row.answer).where(*_is(code_hash), row.expires_at > database_now_ms())
    ).one_or_none()
    if found is None:
        return b""
    return None if found[0] is None else str(found[0]).encode()


def keep_session(session: Session, code_hash: str, record: bytes, life_ms: int) -> None:
    """Keep the record of a session that was opened, whatever stands there."""
    now = database_now(session)
    row = _row(code_hash, "", now, now + life_ms) | {"answer": record.decode()}
    change = dict.fromkeys(("answer", "expires_at"), "set")
    upsert(session, IdempotencyKey.__table__, [row], change)


def keep_refusal(
    session: Session, code_hash: str, mark: str, *, record: bytes, life_ms: int
) -> None:
    """Keep why the flight of ``mark`` opened no session, for all who send the code."""
    session.execute(
        update(IdempotencyKey)
        .where(*_own(code_hash, mark))
        .values(answer=record.decode(), expires_at=database_now_ms() + life_ms)
        .execution_options(synchronize_session=False)
    )


def leave_flight(session: Session, code_hash: str, mark: str) -> None:
    """End the flight of ``mark`` without a word: whoever joined tries by itself."""
    session.execute(
        delete(IdempotencyKey)
        .where(*_own(code_hash, mark))
        .execution_options(synchronize_session=False)
    )


def _begin(session: Session, code_hash: str, mark: str, lease_ms: int) -> bool:
    now = database_now(session)
    row = _row(code_hash, mark, now, now + lease_ms)
    try:
        # Not through the session: its failed flush would end the transaction.
        session.connection().execute(insert(IdempotencyKey).values(row))
    except RIVAL_WROTE:
        return False
    return True


def _take_over(
    session: Session, code_hash: str, from_mark: str, to: tuple[str, int]
) -> bool:
    mark, lease_ms = to
    row, now = IdempotencyKey, database_now_ms()
    # MySQL reports rows matched, not rows changed (CLIENT.FOUND_ROWS).
    taken: Any = session.execute(
        update(row)
        .where(*_is(code_hash), row.body_hash == from_mark, row.expires_at <= now)
        .values(body_hash=mark, answer=None, created_at=now, expires_at=now + lease_ms)
        .execution_options(synchronize_session=False)
    )
    return bool(taken.rowcount)


def _row(code_hash: str, mark: str, now: int, ends_at: int) -> dict[str, object]:
    return {
        "user_id": NOBODY,
        "route": ROUTE,
        "key_hash": code_hash,
        "body_hash": mark,
        "created_at": now,
        "expires_at": ends_at,
    }


def _is(code_hash: str) -> tuple[ColumnElement[bool], ...]:
    row = IdempotencyKey
    return row.user_id == NOBODY, row.route == ROUTE, row.key_hash == code_hash


def _own(code_hash: str, mark: str) -> tuple[ColumnElement[bool], ...]:
    row = IdempotencyKey
    return *_is(code_hash), row.body_hash == mark, row.answer.is_(None)
