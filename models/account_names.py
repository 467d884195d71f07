"""Whom a name means: a user id, an alias, a support code or an openid.

An openid is only ever hashed: it is not logged, not kept and not told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import or_, select

from models.account_links import find_alias
from models.identities import find_by_openid_hash
from models.session_ends import Owner
from models.support_codes import PREFIXES, id_ranges, read_support_code
from models.users import User

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from models.sealing import IdentityHasher


def list_named(
    session: Session, hasher: IdentityHasher, app_ids: Sequence[str], name: str
) -> Sequence[str]:
    """Return the user ids that ``name`` may mean, whether anybody has them or not."""
    if name.startswith(PREFIXES):
        return [name]
    bits = read_support_code(name)
    if bits is not None:
        return _list_by_code(session, bits)
    known = find_by_openid_hash(session, app_ids, hasher.look_up("openid", name))
    # Of an openid that SQL has not heard of, Redis may know the user already.
    return known or [hasher.user_id(app_id, name) for app_id in app_ids]


def find_owners(session: Session, user_ids: Sequence[str]) -> list[Owner]:
    """Return those of ``user_ids`` that SQL knows; an alias leads to its user."""
    owners = {find_alias(session, one) or one for one in user_ids}
    users = (session.get(User, owner) for owner in sorted(owners))
    return [Owner(user.id, user.app_id) for user in users if user is not None]


def _list_by_code(session: Session, bits: int) -> list[str]:
    """Return the ids of the users with a code; of 10**15 pairs one shares its code."""
    ranges = [User.id.between(low, high) for low, high in id_ranges(bits)]
    return list(session.scalars(select(User.id).where(or_(*ranges))))
