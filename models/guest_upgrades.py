"""A guest logs in with WeChat: it becomes that person's user, or is found to be one's.

One commit either way; whatever the guest had stays where it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from sqlalchemy import select

from models.account_links import add_alias, find_alias, link_accounts
from models.base import database_now
from models.errors import Forbidden
from models.events import Event, EventType
from models.guests import find_guest_state
from models.identities import find_by_openid_hash, store_identities
from models.identity_links import link_by_unionid
from models.security_events import Whereabouts, record_security_event
from models.session_ends import Owner, end_sessions
from models.sessions import Session, ensure_sessions
from models.standings import find_user_standing, publish_standing
from models.users import Profile, User, ensure_user, profile_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session as SqlSession

    from models.database import UnitOfWork
    from models.identities import IdentityRow
    from models.login_entry import LoginEntry

GuestOutcome = Literal["upgraded", "linked", "taken", "ended"]


class Upgraded(NamedTuple):
    """As whom the login goes on, and that user's profile if the guest became it."""

    outcome: GuestOutcome
    user_id: str
    profile: Profile | None = None


def upgrade_guest(
    work: UnitOfWork,
    guest: LoginEntry,
    person: IdentityRow,
    claim: Callable[[], str],
) -> Upgraded:
    """Let the guest be ``person``, unless that person has a user already.

    ``guest`` describes the guest's session, which ends here. ``claim`` is asked, when
    SQL knows no user of the person, as whom its logins go on: Redis may know better.
    A guest that has logged in already (``taken``), or has ended, changes nothing.
    Raises `Forbidden` for a guest, or a person, that is banned.
    """
    session = work.session
    ensure_user(session, guest.user_id, guest.app_id, guest.began_at)
    # One at a time for each guest: a second code finds it taken.
    user = session.get_one(
        User, guest.user_id, with_for_update=True, populate_existing=True
    )
    ensure_sessions(session, [guest])
    state = find_guest_state(session, guest)
    if state == "banned":
        raise Forbidden(reason="user_banned", user_id=guest.user_id)
    if state != "guest":
        return Upgraded(state, person.derived_id)
    owner = _find_user_of(session, person) or claim()
    if owner == guest.user_id:
        # A rival that could not ask Redis either may have come first.
        owner = add_alias(session, person.derived_id, owner, person.app_id)
    if find_user_standing(session, owner).banned:
        raise Forbidden(reason="user_banned", user_id=owner)
    end_sessions(
        session, Owner(guest.user_id, guest.app_id), [guest.session_id], "replaced"
    )
    if owner != guest.user_id:
        link_accounts(session, owner, guest.user_id, "guest")
        return Upgraded("linked", owner)
    return Upgraded("upgraded", owner, _become(work, user, guest, person))


def _become(
    work: UnitOfWork, user: User, guest: LoginEntry, person: IdentityRow
) -> Profile:
    session, now = work.session, database_now(work.session)
    user.is_guest, user.updated_at = False, now
    session.flush()
    store_identities(session, [person], now)
    link_by_unionid(session, [person])
    # The alias; Redis has it already unless it could not be asked.
    publish_standing(work, person.derived_id)
    work.publish(Event(EventType.PROFILE_UPDATED, user.id, {"changed": ["is_guest"]}))
    record_security_event(
        session,
        "guest_upgraded",
        (user.id, user.app_id),
        Whereabouts(guest.session_id, ip=guest.ip),
    )
    return profile_of(user)


def _find_user_of(session: SqlSession, person: IdentityRow) -> str | None:
    """Return the user of a person that SQL knows, enriched or not."""
    derived = person.derived_id
    known = find_by_openid_hash(session, [person.app_id], person.openid_hash)
    if owner := find_alias(session, derived) or next(iter(known), None):
        return owner
    has_session = select(Session.id).where(Session.user_id == derived).limit(1)
    if session.get(User, derived) or session.scalar(has_session):
        return derived
    return None
