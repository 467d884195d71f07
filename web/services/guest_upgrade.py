"""A login that brings a guest along: judged before the code is spent, upgraded after.

Such a login asks SQL, unlike others: without SQL it is refused while the code is good.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from config.clock import MS_PER_S
from config.metrics.accounts import GUESTS
from models.errors import Forbidden, RedisUnavailable, Unauthenticated
from models.guest_ids import began_as_guest
from models.guest_upgrades import upgrade_guest
from models.guests import find_guest_state
from models.identity_sealing import IdentitySealer
from web.services.session_entries import vouched_entry

if TYPE_CHECKING:
    from config.settings import Settings
    from models.database import Database
    from models.guest_upgrades import Upgraded
    from models.guests import GuestState
    from models.login_entry import LoginEntry
    from models.stores.container import Stores
    from models.stores.wechat_keys import WeChatSecrets
    from web.services.caller import Claims

_encode: Final = msgspec.json.Encoder().encode


class GuestUpgrade:
    """Makes guests the users of the people who logged in; all or nothing."""

    def __init__(self, settings: Settings, stores: Stores, database: Database) -> None:
        self._life_ms = settings.tokens.refresh_s * MS_PER_S
        self._sealer = IdentitySealer(settings.secrets)
        self._stores = stores
        self._database = database

    def check(self, guest: Claims, app_id: str) -> None:
        """Raise unless the verified token is of a guest of this app that may log in.

        `Unauthenticated`: ``token_invalid`` for anybody else's, ``session_revoked``;
        `Forbidden` for a banned one; `DatabaseUnavailable`. A guest that has logged in
        already passes, whoever sends its token: it proves nothing any more, and to
        learn whose it became the code would have to be spent.
        """
        if guest.app_id != app_id or not began_as_guest(guest.user_id):
            GUESTS.labels("refused").inc()
            raise Unauthenticated("no guest of this app")
        state = self._state(guest)
        if state in {"banned", "ended"}:
            GUESTS.labels("refused").inc()
        if state == "banned":
            raise Forbidden(reason="user_banned", user_id=guest.user_id)
        if state == "ended":
            raise Unauthenticated(reason="session_revoked", user_id=guest.user_id)

    def _state(self, guest: Claims) -> GuestState:
        state = self._state_in_sql(guest)
        if state == "guest" and not self._lives_in_redis(guest):
            # What ended while SQL was away may not be known there yet; who logged in
            # since we looked there is.
            return "taken" if self._state_in_sql(guest) == "taken" else "ended"
        return state

    def _state_in_sql(self, guest: Claims) -> GuestState:
        with self._database.read() as session:
            return find_guest_state(session, self._described(guest))

    def _lives_in_redis(self, guest: Claims) -> bool:
        """Whether Redis, if it can be asked, has heard of no end."""
        with suppress(RedisUnavailable):
            now = self._stores.sessions.find_current(guest.session_id, guest.user_id)
            return now is None or now.live
        return True

    def upgrade(
        self, guest: Claims, entry: LoginEntry, told: WeChatSecrets
    ) -> LoginEntry:
        """Return ``entry`` for the user as whom the person logs in.

        A guest that ended since `check` changes nothing: the code is spent. Raises
        `Forbidden` for one, or a person, that is banned. Redis away: SQL alone decides,
        and the outbox brings the alias to Redis.
        """
        person = self._sealer.row(entry.app_id, guest.user_id, told)
        described = msgspec.structs.replace(self._described(guest), ip=entry.ip)
        standings = self._stores.standings

        def claim() -> str:
            with suppress(RedisUnavailable):
                return standings.claim_alias(person.derived_id, guest.user_id)
            return guest.user_id

        done = self._database.transact(
            lambda work: upgrade_guest(work, described, person, claim)
        )
        GUESTS.labels(done.outcome).inc()
        if done.outcome == "upgraded":
            alias = [(person.derived_id, done.user_id)]
            # There already, unless Redis is away: then as soon as it is back.
            self._stores.late.attempt(lambda: standings.put_aliases(alias))
        self._tell_redis(guest, done)
        return msgspec.structs.replace(entry, user_id=done.user_id)

    def _tell_redis(self, guest: Claims, done: Upgraded) -> None:
        if done.outcome in {"taken", "ended"}:
            return
        with suppress(RedisUnavailable):
            ended, life_ms = [guest.session_id], self._life_ms
            self._stores.sessions.revoke(
                guest.user_id, ended, life_ms=life_ms, reason="replaced"
            )
            if done.profile is not None:
                # The session that is opened next tells it to the page.
                self._stores.users.warm({done.user_id: _encode(done.profile)})

    def _described(self, guest: Claims) -> LoginEntry:
        return vouched_entry(guest, guest.session_id, self._life_ms)
