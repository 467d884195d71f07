"""Looking at an account and acting on it, for people on the internal listener.

What they do stands in the audit log, what befell the user among its security events,
in the commit of the act itself.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from config.clock import MS_PER_S
from models.account_acts import BAN, LOGOUT, UNBAN, Act, Acted, act_on_account
from models.account_facts import SessionSeen, StandingSeen
from models.accounts import Account, read_account
from models.errors import RedisUnavailable
from models.standings import find_user_standing
from models.users import pending_user
from web.services.session_entries import late_entry, list_copies

if TYPE_CHECKING:
    from config.settings import Settings
    from models.database import Database
    from models.idempotency import Once
    from models.session_ends import Owner
    from models.stores.container import Stores
    from models.stores.session_list import SessionCopy
    from web.services.account_finder import AccountFinder


class AccountService:
    """Accounts as support sees them; raises what `AccountFinder.find` raises."""

    def __init__(
        self,
        settings: Settings,
        stores: Stores,
        database: Database,
        finder: AccountFinder,
    ) -> None:
        self._life_ms = settings.tokens.refresh_s * MS_PER_S
        self._stores = stores
        self._list = stores.session_list
        self._database = database
        self._finder = finder

    def read(self, name: str) -> Account:
        """Return what is known of a user; little of one that SQL does not know yet.

        Redis away: sessions that SQL does not know yet are left out.
        """
        found = self._finder.find(name)
        copies = list_copies(self._list, found.user_id)
        with self._database.read() as session:
            account = read_account(session, found.user_id) or _unknown(found)
        known = {one.id for one in account.sessions}
        late = [self._late(copy) for copy in copies if copy.id not in known]
        return msgspec.structs.replace(account, sessions=late + account.sessions)

    def ban(self, name: str, reason: str, once: Once | None = None) -> Acted:
        """Shut a user out and end its sessions, also before its first enrichment."""
        return self._act(name, BAN, reason, once)

    def unban(self, name: str, reason: str, once: Once | None = None) -> Acted:
        """Let a user log in again."""
        return self._act(name, UNBAN, reason, once)

    def logout(self, name: str, reason: str, once: Once | None = None) -> Acted:
        """End every session of a user, listed or not."""
        return self._act(name, LOGOUT, reason, once)

    def _act(self, name: str, act: Act, reason: str, once: Once | None) -> Acted:
        found = self._finder.find(name)
        copies = list_copies(self._list, found.user_id) if act.ends else []
        late = [late_entry(copy, self._life_ms) for copy in copies]
        acted = self._database.transact(
            lambda work: act_on_account(work, found, act, late, reason), once
        )
        self._tell_redis(found.user_id, act)
        return acted

    def _tell_redis(self, user_id: str, act: Act) -> None:
        """Write the copies now; without Redis when it is back, by us or the outbox.

        The standing ends every session; the marks only tidy their list.
        """
        with self._database.read() as session:
            standing = find_user_standing(session, user_id)
        stores = self._stores
        stores.late.attempt(lambda: stores.standings.put(user_id, standing))
        with suppress(RedisUnavailable):
            if act.ends:
                listed = self._stores.sessions.list_ids(user_id)
                self._stores.sessions.revoke(
                    user_id, listed, life_ms=self._life_ms, reason=act.ends
                )

    def _late(self, copy: SessionCopy) -> SessionSeen:
        entry = copy.entry
        device = entry.device if entry else None
        return SessionSeen(
            id=copy.id,
            device_id=device.id if device else None,
            ip=entry.ip if entry else None,
            created_at=copy.created_at,
            last_seen_at=copy.rotated_at,
            expires_at=copy.rotated_at + self._life_ms,
            epoch=copy.epoch,
            revoked_at=None,
            ended_by=None,
        )


def _unknown(found: Owner) -> Account:
    return Account(
        user=pending_user(found.user_id, 0),
        app_id=found.app_id,
        standing=StandingSeen(0, None, "allow", None),
        aliases=[],
        identities=[],
        devices=[],
        sessions=[],
        security_events=[],
        links=[],
        logins=[],
        risk_marks=[],
    )
