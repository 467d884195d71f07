"""Guests: a session before WeChat is asked, or while it is away.

Two round trips to Redis, no SQL and no WeChat; without Redis one commit in SQL.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import msgspec

from config.clock import now_ms
from config.metrics.accounts import GUESTS
from models.base import new_id
from models.errors import Limited, RedisUnavailable
from models.guest_ids import new_guest_id
from models.login_entry import LoginEntry
from models.logins import record_logins
from models.stores.admission import Caller as LimitCaller
from models.users import pending_user
from web.services.apps import Apps
from web.services.local_buckets import LocalBuckets
from web.services.login_answer import Enrichment, LoginAnswer, login_answer
from web.services.login_record import record_of
from web.services.tokens import TokenSigner, hash_of

if TYPE_CHECKING:
    from config.settings import Settings
    from models.database import Database, UnitOfWork
    from models.device_info import DeviceInfo
    from models.quota import Quota
    from models.stores.container import Stores
    from web.services.caller import Caller

SEED_BYTES = 16


class GuestService:
    """Lets people in of whom nothing is known but their device."""

    def __init__(self, settings: Settings, stores: Stores, database: Database) -> None:
        self._apps = Apps(settings)
        self._tokens = TokenSigner(settings)
        self._local = LocalBuckets(settings.limits)
        self._stores = stores
        self._database = database

    def enter(
        self, app_id: str | None, device: DeviceInfo | None, caller: Caller
    ) -> LoginAnswer:
        """Return tokens of a new guest.

        Redis away: limits are this process' own and SQL takes the session. Raises
        `InvalidInput` for an unknown app, `Limited`, and `DatabaseUnavailable` when
        both stores are away.
        """
        app_id = self._apps.known(app_id)
        self._admit(app_id, device, caller)
        secret = secrets.token_hex(SEED_BYTES)
        entry = self._entry(app_id, device, caller, secret)
        enriched = self._open(entry)
        GUESTS.labels("opened").inc()
        record = record_of(entry)
        answer = login_answer(self._tokens.sign(record.grant(secret)), record, b"")
        return msgspec.structs.replace(
            answer,
            user=pending_user(entry.user_id, entry.at, is_guest=True),
            enrichment=Enrichment("done" if enriched else "pending"),
            is_new=True,
        )

    def _admit(self, app_id: str, device: DeviceInfo | None, caller: Caller) -> None:
        name = device.id if device else caller.device_id
        limits = LimitCaller(
            caller.ip, device=name, app=app_id, request_id=caller.request_id
        )
        try:
            quota = self._quota(limits)
        except Limited as refused:
            caller.on_quota(refused.quota)
            raise
        caller.on_quota(quota)

    def _quota(self, limits: LimitCaller) -> Quota | None:
        try:
            return self._stores.admission.admit_request("login", limits).quota
        except RedisUnavailable:
            return self._local.admit("login", limits)

    def _open(self, entry: LoginEntry) -> bool:
        """Open the session; True when SQL has it already."""
        try:
            self._stores.sessions.restore(entry)
        except RedisUnavailable:
            self._database.transact(lambda work: _record(work, entry))
            return True
        return False

    def _entry(
        self, app_id: str, device: DeviceInfo | None, caller: Caller, secret: str
    ) -> LoginEntry:
        at = now_ms()
        return LoginEntry(
            id=new_id("lg"),
            kind="login",
            user_id=new_guest_id(),
            app_id=app_id,
            session_id=new_id("se", at),
            at=at,
            expires_at=self._tokens.ends_at(at, at),
            device=device,
            ip=caller.ip,
            request_id=caller.request_id,
            refresh_hash=hash_of(secret),
        )


def _record(work: UnitOfWork, entry: LoginEntry) -> None:
    # Should Redis have got the entry after all, the enrichment finds it done.
    record_logins(work.session, [entry], lambda _: [])
    work.wakes_relay = True
