"""Replacing a user's session_key at WeChat, when somebody may have got hold of it.

Whoever has a session_key can make data that opens here. A reset ends that at once and
keeps the user logged in; `web/services/open_data.py` goes on with the new key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from config.patience import unhurried
from models.audit import record_act
from models.security_events import record_security_event
from models.stores.wechat_keys import WeChatSecrets
from web.services.wechat_faults import translated
from wechat.errors import SessionKeyStale, WeChatError, WeChatRefused

if TYPE_CHECKING:
    from config.clock import Deadline
    from models.database import Database, UnitOfWork
    from models.idempotency import Once
    from models.stores.container import Stores
    from models.stores.wechat_keys import HeldKey
    from web.services.account_finder import AccountFinder
    from wechat.gateway import Gateway

Outcome = Literal["reset", "stale", "none"]
# What the audit log knows besides: the call is about to be made, its answer was lost,
# it changed nothing.
Step = Literal["asked", "unknown", "failed"]


class KeyReset(msgspec.Struct):
    """What was done: ``reset``, ``stale`` or ``none``.

    ``stale``: WeChat had another key already, and ours is forgotten. ``none``: we held
    no key.
    """

    user_id: str
    outcome: Outcome


class KeyResetService:
    """Resets keys for support."""

    def __init__(
        self,
        stores: Stores,
        database: Database,
        gateway: Gateway,
        finder: AccountFinder,
    ) -> None:
        self._keys = stores.wechat_keys
        self._database = database
        self._gateway = gateway
        self._finder = finder

    def reset(
        self, name: str, deadline: Deadline, once: Once | None = None
    ) -> KeyReset:
        """Have WeChat replace the user's key; in the audit log whatever was done.

        Raises what `AccountFinder.find` raises, `Unavailable` when a store is away, and
        what WeChat's failures are translated to. A reset whose answer was lost leaves
        no key of ours: data is refused as stale until the next login.
        """
        user_id, app_id = self._finder.find(name)
        held = self._keys.load(app_id, user_id).current
        outcome: Outcome = "none"
        if held is not None:
            outcome = self._replace(app_id, user_id, held, deadline)

        def act(work: UnitOfWork) -> KeyReset:
            _record(work, app_id, user_id, outcome)
            return KeyReset(user_id, outcome)

        # WeChat has done it already.
        with unhurried():
            return self._database.transact(act, once)

    def _replace(
        self, app_id: str, user_id: str, held: HeldKey, deadline: Deadline
    ) -> Outcome:
        # Before the call: whatever becomes of it or of us, that it was made is known.
        self._database.transact(lambda work: _record(work, app_id, user_id, "asked"))
        try:
            fresh = self._fresh(app_id, held, deadline)
        except SessionKeyStale:
            self._keys.drop(user_id, held)
            return "stale"
        except WeChatError as error:
            self._failed(app_id, user_id, held, error)
            raise translated(error) from error
        # Refused after a newer login only: WeChat made that one's key after this.
        self._keys.replace(app_id, user_id, held, fresh)
        return "reset"

    def _failed(
        self, app_id: str, user_id: str, held: HeldKey, error: WeChatError
    ) -> None:
        """Write the failure down; forget the key if WeChat may have replaced it."""
        lost = error.sent and not isinstance(error, WeChatRefused)
        outcome: Step = "unknown" if lost else "failed"
        with unhurried():
            if lost:
                # First: what somebody may have got hold of opens nothing any more.
                self._keys.drop(user_id, held)
            self._database.transact(
                lambda work: _record(work, app_id, user_id, outcome)
            )

    def _fresh(self, app_id: str, held: HeldKey, deadline: Deadline) -> WeChatSecrets:
        told = held.secrets
        key = self._gateway.client(app_id).reset_session_key(
            told.openid, told.session_key, deadline=deadline
        )
        return WeChatSecrets(told.openid, key, told.unionid)


def _record(work: UnitOfWork, app_id: str, user_id: str, done: Outcome | Step) -> None:
    record_act(work.session, "user.reset_session_key", user_id, detail=done)
    if done not in ("asked", "failed"):
        subject = (user_id, app_id)
        record_security_event(work.session, "session_key_reset", subject)
