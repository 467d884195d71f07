"""Accounts of one person that their identities give away: by unionid, by alias.

`models/logins.py` asks after it wrote identities; a later merge acts on the links.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from sqlalchemy import select

from models.account_links import UserAlias, add_alias, link_accounts
from models.identities import Identity
from models.security_events import Whereabouts, record_security_event
from models.users import User

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from models.identities import IdentityRow

# A person has one account in each of our apps, and perhaps a guest's history.
ACCOUNTS_OF_ONE = 20

Account = tuple[str, str]
NO_REQUESTS: Mapping[str, str | None] = MappingProxyType({})


def link_by_unionid(
    session: Session,
    written: Sequence[IdentityRow],
    requests: Mapping[str, str | None] = NO_REQUESTS,
) -> None:
    """Link the users of ``written`` with others of the same unionid, each pair once.

    ``requests`` has the request id of each user's login, where a task asks.
    Both sides' rows are locked, so that of two who come at once the later one sees
    the other; a deadlock has the whole transaction run again.
    """
    hashes = {row.unionid_hash for row in written if row.unionid_hash}
    if not hashes:
        return
    found = session.execute(
        select(Identity.unionid_hash, Identity.user_id, Identity.app_id)
        .where(Identity.unionid_hash.in_(sorted(hashes)))
        .order_by(Identity.created_at, Identity.user_id)
        .with_for_update()
    ).all()
    accounts: dict[str | None, list[Account]] = {}
    for unionid_hash, user_id, app_id in found:
        accounts.setdefault(unionid_hash, []).append((user_id, app_id))
    for row in written:
        for other in accounts.get(row.unionid_hash, [])[:ACCOUNTS_OF_ONE]:
            where = Whereabouts(request_id=requests.get(row.user_id))
            _link(session, (row.user_id, row.app_id), other, where)


def keep_aliases(session: Session, written: Sequence[IdentityRow]) -> None:
    """Write down aliases that only Redis knew: somebody died while upgrading a guest.

    A login went to a guest's id already, so that guest is one no more.
    """
    for row in written:
        if row.derived_id in {"", row.user_id}:
            continue
        owner = add_alias(session, row.derived_id, row.user_id, row.app_id)
        if owner == row.user_id:
            user = session.get_one(User, owner, with_for_update=True)
            user.is_guest = False
    session.flush()


def link_strays(session: Session, written: Sequence[IdentityRow]) -> None:
    """Link users of ``written`` that stand for others, and logged in all the same.

    So it goes when a guest was upgraded while Redis was away, and somebody logged in
    when it was back and did not know the alias yet.
    """
    if not written:
        return
    found = session.execute(
        select(UserAlias.alias_id, UserAlias.user_id).where(
            UserAlias.alias_id.in_({row.user_id for row in written})
        )
    )
    for alias_id, user_id in found.all():
        link_accounts(session, alias_id, user_id, "guest")


def _link(session: Session, one: Account, other: Account, where: Whereabouts) -> None:
    if one[0] == other[0] or not link_accounts(session, one[0], other[0], "unionid"):
        return
    for account, twin in ((one, other), (other, one)):
        record_security_event(session, "unionid_linked", account, where, detail=twin[0])
