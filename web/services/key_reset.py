"""Replacing a user's session_key at WeChat, when somebody may have got hold of it.

Whoever has a session_key can make data that opens here. A reset ends that at once and
keeps the user logged in; `web/services/open_data.py` goes on with the new key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from config.patience import unhurried
from models.audit import record_act
from models.errors import NotFound
from models.security_events import record_security_event
from models.stores.wechat_keys import WeChatSecrets
from models.users import find_app_id
from web.services.wechat_faults import translated
from wechat.errors import SessionKeyStale, WeChatError

if TYPE_CHECKING:
    from config.clock import Deadline
    from models.database import Database, UnitOfWork
    from models.idempotency import Once
    from models.stores.container import Stores
    from models.stores.wechat_keys import HeldKey
    from wechat.gateway import Gateway

Outcome = Literal["reset", "stale", "none"]


class KeyReset(msgspec.Struct):
    """What was done: ``reset``, ``stale`` or ``none``.

    ``stale``: WeChat had another key already, and ours is forgotten. ``none``: we held
    no key.
    """

    user_id: str
    outcome: Outcome


class KeyResetService:
    """Resets keys for support."""

    def __init__(self, stores: Stores, database: Database, gateway: Gateway) -> None:
        self._keys = stores.wechat_keys
        self._database = database
        self._gateway = gateway

    def reset(
        self, user_id: str, deadline: Deadline, once: Once | None = None
    ) -> KeyReset:
        """Have WeChat replace the user's key; in the audit log whatever was done.

        Raises `NotFound`, `Unavailable` when a store is away, and what WeChat's
        failures are translated to; a reset whose answer was lost leaves a stale key,
        which the next login heals.
        """
        with self._database.read() as session:
            app_id = find_app_id(session, user_id)
        if app_id is None:
            raise NotFound
        outcome = self._replace(app_id, user_id, deadline)

        def act(work: UnitOfWork) -> KeyReset:
            record_act(work.session, "user.reset_session_key", user_id, detail=outcome)
            subject = (user_id, app_id)
            record_security_event(work.session, "session_key_reset", subject)
            return KeyReset(user_id, outcome)

        # WeChat has done it already.
        with unhurried():
            return self._database.transact(act, once)

    def _replace(self, app_id: str, user_id: str, deadline: Deadline) -> Outcome:
        held = self._keys.load(app_id, user_id).current
        if held is None:
            return "none"
        try:
            fresh = self._fresh(app_id, held, deadline)
        except SessionKeyStale:
            self._keys.drop(user_id, held)
            return "stale"
        except WeChatError as error:
            raise translated(error) from error
        # Refused after a newer login only: WeChat made that one's key after this.
        self._keys.replace(app_id, user_id, held, fresh)
        return "reset"

    def _fresh(self, app_id: str, held: HeldKey, deadline: Deadline) -> WeChatSecrets:
        told = held.secrets
        key = self._gateway.client(app_id).reset_session_key(
            told.openid, told.session_key, deadline=deadline
        )
        return WeChatSecrets(told.openid, key, told.unionid)
