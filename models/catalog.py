"""The shop: products and their stock, and the demo goods `make run` starts with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Integer, String, select
from sqlalchemy.orm import Mapped, mapped_column

from models.base import TABLE_OPTIONS, Base, EpochMs, Id, database_now

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

DEMO_PRODUCTS = 20
DEMO_STOCK = 100


class Product(Base):
    """A thing for sale; ``version`` grows with every change, prices are in fen."""

    __tablename__ = "products"
    __table_args__ = (TABLE_OPTIONS,)

    id: Mapped[Id] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(120))
    price_fen: Mapped[int] = mapped_column(BigInteger)
    image_url: Mapped[str | None] = mapped_column(String(512))
    version: Mapped[int] = mapped_column(Integer)
    updated_at: Mapped[EpochMs]


class Stock(Base):
    """Counts of one product; their sum changes only by deliveries of goods."""

    __tablename__ = "stock"
    __table_args__ = (TABLE_OPTIONS,)

    product_id: Mapped[Id] = mapped_column(primary_key=True)
    available: Mapped[int] = mapped_column(BigInteger)
    reserved: Mapped[int] = mapped_column(BigInteger)
    sold: Mapped[int] = mapped_column(BigInteger)


def load_demo(session: Session) -> int:
    """Insert products ``p1`` to ``p20`` with stock where missing; returns how many."""
    present = set(session.scalars(select(Product.id)))
    now = database_now(session)
    missing = [n for n in range(1, DEMO_PRODUCTS + 1) if f"p{n}" not in present]
    for number in missing:
        session.add(
            Product(
                id=f"p{number}",
                title=f"快答商品 {number}",
                price_fen=990 + number * 100,
                version=1,
                updated_at=now,
            )
        )
        session.add(
            Stock(product_id=f"p{number}", available=DEMO_STOCK, reserved=0, sold=0)
        )
    session.flush()
    return len(missing)
