"""The ledger of calls that WeChat bills: reserved before the call, settled after it.

A reservation counts as spent until it is known to have been free, so neither a crash
nor a lost answer can pass a cap. The unique ``flight`` lets one caller among all
processes make a call; the others wait for its row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sqlalchemy import Index, Integer, String, UniqueConstraint, func, select
from sqlalchemy.orm import Mapped, mapped_column

from models.base import (
    TABLE_OPTIONS,
    AppId,
    Base,
    EpochMs,
    Id,
    database_now,
    delete_by_id,
    new_id,
)
from models.china_time import day_of
from models.errors import Limited
from models.idempotency import Later
from models.paid_budgets import Price, give_back, spend
from models.rivals import RIVAL_WROTE
from models.users import User, ensure_user

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

State = Literal["reserved", "charged", "free", "unknown"]


class PaidCall(Base):
    """One call; money in fen. ``refusal`` is what those who come again are told.

    ``flight`` names what the call is about, as long as it must not be made again.
    """

    __tablename__ = "paid_calls"
    __table_args__ = (
        UniqueConstraint("flight"),
        Index(None, "app_id", "at"),
        Index(None, "user_id", "at"),
        Index(None, "state", "at"),
        Index(None, "at"),
        TABLE_OPTIONS,
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    app_id: Mapped[AppId]
    user_id: Mapped[Id]
    kind: Mapped[str] = mapped_column(String(24))
    cost_fen: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(10))
    flight: Mapped[str | None] = mapped_column(String(64))
    refusal: Mapped[str | None] = mapped_column(String(40))
    at: Mapped[EpochMs]
    settled_at: Mapped[EpochMs | None]


class Caps(NamedTuple):
    """How much an app may spend in a month, and how often a user may cause it a day."""

    monthly_fen: int
    user_daily: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call somebody wants to make."""

    app_id: str
    user_id: str
    kind: str
    cost_fen: int
    flight: str
    caps: Caps


class CallView(NamedTuple):
    """A call as its row tells it; ``leads`` when the reader reserved it just now."""

    id: str
    state: State
    refusal: str | None = None
    leads: bool = False


def reserve(session: Session, wanted: Wanted) -> CallView:
    """Reserve the call, or return the one that has its flight; the user's row exists.

    Raises `Limited` with the wait until the day or the month is over.
    """
    found = find_call(session, wanted.flight)
    if found is not None:
        return found
    now = database_now(session)
    row = PaidCall(
        id=new_id("pc"),
        app_id=wanted.app_id,
        user_id=wanted.user_id,
        kind=wanted.kind,
        cost_fen=wanted.cost_fen,
        state="reserved",
        flight=wanted.flight,
        at=now,
    )
    # Locked before the count: two calls of a user cannot both be the last one.
    session.get_one(User, wanted.user_id, with_for_update=True)
    try:
        with session.begin_nested():
            session.add(row)
    except RIVAL_WROTE:
        rival = find_call(session, wanted.flight)
        if rival is None:
            raise
        return rival
    _count(session, wanted, now)
    price = Price(wanted.app_id, wanted.cost_fen, now)
    spend(session, price, wanted.caps.monthly_fen)
    return CallView(row.id, "reserved", leads=True)


def reservation(wanted: Wanted, known_since: int) -> Later[CallView]:
    """Return how ``wanted`` is reserved, now and again under an Idempotency-Key.

    Its user, known since then (epoch ms), may not be in SQL yet.
    """

    def again(session: Session, _: str) -> CallView:
        ensure_user(session, wanted.user_id, wanted.app_id, known_since)
        return reserve(session, wanted)

    return Later(subject_of=lambda call: call.id, again=again)


def find_call(session: Session, flight: str) -> CallView | None:
    """Return the call that has ``flight``, None when it may be made."""
    row = session.scalar(
        select(PaidCall)
        .where(PaidCall.flight == flight)
        .execution_options(populate_existing=True)
    )
    if row is None:
        return None
    state: Any = row.state
    return CallView(row.id, state, row.refusal)


def settle_call(
    session: Session,
    call_id: str,
    state: State,
    *,
    refusal: str | None = None,
    again: bool = False,
) -> None:
    """Write down how a call ended; ``again`` frees its flight for another one.

    A late word corrects ``unknown``, and nothing else that is settled.
    """
    row = session.get(PaidCall, call_id, with_for_update=True, populate_existing=True)
    if row is None or row.state not in ("reserved", "unknown"):
        return
    row.state, row.refusal = state, refusal
    row.settled_at = database_now(session)
    if again:
        row.flight = None
    if state == "free":
        give_back(session, Price(row.app_id, row.cost_fen, row.at))


def give_up(session: Session, *, before: int, limit: int) -> int:
    """Make reservations of before ``before`` (epoch ms) unknown; return how many."""
    rows = session.scalars(
        select(PaidCall)
        .where(PaidCall.state == "reserved", PaidCall.at < before)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        row.state, row.flight = "unknown", None
        row.settled_at = database_now(session)
    return len(rows)


def prune(session: Session, *, before: int, limit: int) -> int:
    """Delete up to ``limit`` calls older than ``before`` (epoch ms)."""
    ids = session.scalars(
        select(PaidCall.id).where(PaidCall.at < before).limit(limit)
    ).all()
    return delete_by_id(session, PaidCall.id, ids)


def _count(session: Session, wanted: Wanted, now: int) -> None:
    today = day_of(now)
    calls = session.scalar(
        select(func.count()).where(
            PaidCall.user_id == wanted.user_id,
            PaidCall.at >= today.begins_at,
            PaidCall.state != "free",
        )
    )
    if (calls or 0) > wanted.caps.user_daily:
        raise Limited("calls of a user", retry_after_ms=today.ends_at - now)
