"""What WeChat calls a person: openid and unionid, sealed, found by keyed hash.

`models/logins.py` writes them; what is sealed comes from `tasks/login_batch.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import Index, LargeBinary, String, select
from sqlalchemy.orm import Mapped, mapped_column

from models.base import TABLE_OPTIONS, AppId, Base, EpochMs, Id, upsert

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.orm import Session

    from models.login_entry import LoginEntry


class Identity(Base):
    """One person in one app; another app of ours knows another openid."""

    __tablename__ = "identities"
    __table_args__ = (
        Index(None, "user_id"),
        Index(None, "unionid_hash"),
        TABLE_OPTIONS,
    )

    app_id: Mapped[AppId] = mapped_column(primary_key=True)
    openid_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[Id]
    openid_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    unionid_hash: Mapped[str | None] = mapped_column(String(64))
    unionid_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[EpochMs]


class IdentityRow(msgspec.Struct, frozen=True):
    """The sealed identity of one user, ready to store.

    ``derived_id`` is what app and openid give; where a guest kept its id it differs
    from the user's own, and empty says that it does not.
    """

    user_id: str
    app_id: str
    openid_hash: str
    openid_sealed: bytes
    unionid_hash: str | None = None
    unionid_sealed: bytes | None = None
    derived_id: str = ""


def find_sealed_openid(session: Session, app_id: str, user_id: str) -> bytes | None:
    """Return the sealed openid of a user of ``app_id``, None when SQL has none."""
    return session.scalar(
        select(Identity.openid_sealed).where(
            Identity.user_id == user_id, Identity.app_id == app_id
        )
    )


def find_by_openid_hash(
    session: Session, app_ids: Sequence[str], openid_hash: str
) -> list[str]:
    """Return the users whom one of the apps knows by that openid."""
    found = select(Identity.user_id).where(
        Identity.app_id.in_(app_ids), Identity.openid_hash == openid_hash
    )
    return list(session.scalars(found))


def write_identities(
    session: Session,
    fresh: Sequence[LoginEntry],
    open_identities: Callable[[Sequence[tuple[str, str]]], list[IdentityRow]],
) -> list[IdentityRow]:
    """Insert the identities of ``fresh`` logins, or the unionid they lack.

    ``open_identities`` is asked for the (app_id, user_id) pairs that miss something.
    Returns what was written.
    """
    wanted = {entry.user_id: entry for entry in fresh}
    known = session.execute(
        select(Identity.user_id, Identity.unionid_hash).where(
            Identity.user_id.in_(list(wanted))
        )
    )
    for user_id, unionid_hash in known:
        if unionid_hash or not wanted[user_id].has_unionid:
            del wanted[user_id]
    if not wanted:
        return []
    created_at = min(entry.at for entry in fresh)
    found = open_identities(sorted((w.app_id, w.user_id) for w in wanted.values()))
    store_identities(session, found, created_at)
    return found


def store_identities(
    session: Session, found: Sequence[IdentityRow], created_at: int
) -> None:
    """Insert rows; of those that exist only a missing unionid is filled in."""
    rows = [
        {
            "app_id": row.app_id,
            "openid_hash": row.openid_hash,
            "user_id": row.user_id,
            "openid_sealed": row.openid_sealed,
            "unionid_hash": row.unionid_hash,
            "unionid_sealed": row.unionid_sealed,
            "created_at": created_at,
        }
        for row in sorted(found, key=lambda row: (row.app_id, row.openid_hash))
    ]
    # A unionid may appear later for a known user: fill it in, never overwrite.
    change = {"unionid_hash": "keep", "unionid_sealed": "keep"}
    upsert(session, Identity.__table__, rows, change)
