"""What apps have spent on billed calls, by month; `models/paid_calls.py` fills it.

One number for an app and month, changed only while it stays below the cap: exact with
any number of processes, and no dearer at the end of a month.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Integer, String, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from models.base import TABLE_OPTIONS, AppId, Base, database_now, upsert
from models.china_time import month_of
from models.errors import Limited

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class PaidBudget(Base):
    """What an app has spent, or may have, in one month of China (``2026-11``)."""

    __tablename__ = "paid_budgets"
    __table_args__ = (TABLE_OPTIONS,)

    app_id: Mapped[AppId] = mapped_column(primary_key=True)
    month: Mapped[str] = mapped_column(String(7), primary_key=True)
    spent_fen: Mapped[int] = mapped_column(Integer)


class Price(NamedTuple):
    """What a call costs whom, and when it was reserved (epoch ms)."""

    app_id: str
    fen: int
    at: int


def spend(session: Session, price: Price, monthly_fen: int) -> None:
    """Count ``price`` as spent; `Limited` until next month when it is too much."""
    month = month_of(price.at)
    row = {"app_id": price.app_id, "month": month.name, "spent_fen": 0}
    upsert(session, PaidBudget.__table__, [row], {"spent_fen": "keep"})
    if not _change(session, price, price.fen, most=monthly_fen - price.fen):
        wait_ms = month.ends_at - price.at
        raise Limited("budget of an app", retry_after_ms=wait_ms)


def give_back(session: Session, price: Price) -> None:
    """Count ``price`` as not spent: the call was free."""
    _change(session, price, -price.fen)


def most_spent(session: Session) -> int:
    """Return what the app that spent most this month has spent, in fen."""
    month = month_of(database_now(session)).name
    spent = func.max(PaidBudget.spent_fen)
    return session.scalar(select(spent).where(PaidBudget.month == month)) or 0


def _change(
    session: Session, price: Price, by_fen: int, most: int | None = None
) -> bool:
    spent = PaidBudget.spent_fen
    change = update(PaidBudget).where(
        PaidBudget.app_id == price.app_id, PaidBudget.month == month_of(price.at).name
    )
    if most is not None:
        change = change.where(spent <= most)
    changed: Any = session.execute(
        change.values(spent_fen=spent + by_fen).execution_options(
            synchronize_session=False
        )
    )
    return bool(changed.rowcount)
