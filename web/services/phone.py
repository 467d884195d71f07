"""Binding a phone number: by the code of WeChat's phone button, or by encrypted data.

The number is sealed before it leaves this module; answers, events and the profile show
it masked. `web/services/phone_calls.py` makes the call that WeChat bills.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from config.clock import Deadline
from models.errors import (
    Conflict,
    DatabaseUnavailable,
    OpenDataRefused,
    RedisUnavailable,
)
from models.events import Event, EventType
from models.phones import bind_phone, find_masked_phone
from models.risk_actions import clear_verified
from models.sealed_phones import PhoneSealer
from models.standings import NOBODY_SPECIAL, find_user_standing
from models.users import ensure_user
from web.services.phone_calls import Use
from wechat.answers import phone_of

if TYPE_CHECKING:
    from config.settings import Settings
    from models.database import Database, UnitOfWork
    from models.idempotency import Once
    from models.sealed_phones import SealedPhone
    from models.stores.container import Stores
    from web.services.caller import Claims
    from web.services.open_data import OpenDataService
    from web.services.phone_calls import PhoneCalls
    from wechat.answers import PhoneNumber
    from wechat.open_data import SealedData


class BoundPhone(msgspec.Struct):
    """The number as answers show it."""

    phone_masked: str


class Taken(Exception):
    """Another account of the app has the number; the transaction is to be undone."""


class PhoneService:
    """What a user may do with their phone number."""

    def __init__(
        self,
        settings: Settings,
        stores: Stores,
        database: Database,
        *,
        open_data: OpenDataService,
        calls: PhoneCalls,
    ) -> None:
        self._database = database
        self._profiles = stores.users
        self._open_data = open_data
        self._calls = calls
        self._sealer = PhoneSealer(settings.secrets)
        self._standings = stores.standings
        self._risk = settings.risk

    def bind_by_code(
        self, claims: Claims, code: str, deadline: Deadline, once: Once | None = None
    ) -> BoundPhone:
        """Bind the number behind a phone button's code; the code sent again binds once.

        Raises `LoginCodeInvalid` (tap again), `Conflict` (``conflict``: another account
        has the number; ``session_key_stale``: we do not know who the user is to
        WeChat), `Limited` at a cap, and what WeChat's failures are translated to.
        """

        def bind(work: UnitOfWork, number: PhoneNumber) -> bool:
            return self._bind(work, claims, self._sealed(claims, number))

        use = Use(bind, lambda: self._refresh_copies(claims))
        self._calls.run(claims, code, deadline, use, once)
        return self._bound(claims)

    def bind_by_data(
        self,
        claims: Claims,
        sealed: SealedData,
        deadline: Deadline,
        once: Once | None = None,
    ) -> BoundPhone:
        """Bind the number in encrypted data. Raises like `OpenDataService.open`.

        And `Conflict` (``conflict``) when another account has the number.
        """
        found = self._open_data.open(claims, sealed, None, deadline)
        number = phone_of(found.content) if found.kind == "phone" else None
        if number is None:
            # It opened, but holds no number; WeChat does not send such data.
            raise OpenDataRefused
        phone = self._sealed(claims, number)

        def act(work: UnitOfWork) -> BoundPhone:
            if not self._bind(work, claims, phone):
                raise Taken
            return BoundPhone(phone.masked)

        try:
            bound = self._database.transact(act, once)
        except Taken:
            # Once more without the key: what is written down must outlive the refusal.
            if not self._database.transact(
                lambda work: self._bind(work, claims, phone)
            ):
                raise Conflict from None
            bound = BoundPhone(phone.masked)
        self._refresh_copies(claims)
        return bound

    def _sealed(self, claims: Claims, number: PhoneNumber) -> SealedPhone:
        return self._sealer.seal(
            claims.app_id, claims.user_id, number.country_code, number.number
        )

    def _bind(self, work: UnitOfWork, claims: Claims, phone: SealedPhone) -> bool:
        """Bind in the caller's transaction; False when another account has it."""
        ensure_user(work.session, claims.user_id, claims.app_id, claims.opened_at)
        outcome = bind_phone(work.session, phone)
        if outcome in ("bound", "changed"):
            data = {"replaced": outcome == "changed"}
            work.publish(Event(EventType.PHONE_BOUND, claims.user_id, data))
        if outcome != "taken":
            clear_verified(work, claims.user_id, self._risk)
        return outcome != "taken"

    def _bound(self, claims: Claims) -> BoundPhone:
        with self._database.read() as session:
            shown = find_masked_phone(session, claims.user_id)
        if shown is None:
            # Bound and, before this look, taken away again by a merge or a deletion.
            raise Conflict
        return BoundPhone(shown)

    def _refresh_copies(self, claims: Claims) -> None:
        """Have profile and standing be seen now; the outbox does the latter too."""
        with suppress(RedisUnavailable):
            self._profiles.delete(claims.user_id)
        with suppress(RedisUnavailable, DatabaseUnavailable):
            with self._database.read() as session:
                standing = find_user_standing(session, claims.user_id)
            if standing != NOBODY_SPECIAL:
                self._standings.put(claims.user_id, standing)
