"""The exchange itself: what WeChat says of a code becomes the entry of a login.

`web/services/login.py` decides who makes it and opens the session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from config.clock import Deadline, now_ms
from models.base import new_id
from models.login_entry import UNKNOWN_EPOCH, LoginEntry
from models.sealing import IdentityHasher
from models.stores.wechat_keys import WeChatSecrets
from web.services.guest_upgrade import GuestUpgrade
from web.services.tokens import TokenSigner, hash_of
from web.services.wechat_faults import translated
from wechat.errors import WeChatError

if TYPE_CHECKING:
    from config.settings import Settings
    from models.database import Database
    from models.stores.container import Stores
    from web.services.login_attempt import Attempt
    from wechat.gateway import Gateway


class LoginExchange:
    """Spends codes."""

    def __init__(
        self,
        settings: Settings,
        stores: Stores,
        database: Database,
        gateway: Gateway,
    ) -> None:
        self._gateway = gateway
        self._tokens = TokenSigner(settings)
        self._hasher = IdentityHasher(settings.secrets.id_key)
        self._guests = GuestUpgrade(settings, stores, database)
        self._max_sessions = {
            app.app_id: app.max_sessions for app in settings.wechat.apps
        }

    def make(
        self, attempt: Attempt, until: Deadline
    ) -> tuple[LoginEntry, WeChatSecrets]:
        """Return the login and what WeChat told; a guest sent along is upgraded.

        Raises what WeChat's failures are translated to, their cause with them, and
        what `GuestUpgrade` raises.
        """
        code, guest = attempt.request.code, attempt.request.guest
        if guest is not None:
            # A refusal must not cost the code.
            self._guests.check(guest, attempt.app_id)
        try:
            with attempt.course.at_wechat():
                found = self._gateway.code2session(attempt.app_id, code, deadline=until)
        except WeChatError as error:
            raise translated(error) from error
        told = WeChatSecrets(found.openid, found.session_key, found.unionid)
        entry = self._entry(attempt, told)
        if guest is not None:
            entry = self._guests.upgrade(guest, entry, told)
        return entry, told

    def _entry(self, attempt: Attempt, told: WeChatSecrets) -> LoginEntry:
        at = now_ms()
        # `Claims.opened_at` reads it there.
        session_id = new_id("se", at)
        secret = self._tokens.secret(session_id, attempt.request.code)
        return LoginEntry(
            id=new_id("lg"),
            kind="login",
            user_id=self._hasher.user_id(attempt.app_id, told.openid),
            app_id=attempt.app_id,
            session_id=session_id,
            at=at,
            expires_at=self._tokens.ends_at(at, at),
            has_unionid=told.unionid is not None,
            device=attempt.request.device,
            ip=attempt.caller.ip,
            request_id=attempt.caller.request_id,
            epoch=UNKNOWN_EPOCH,
            refresh_hash=hash_of(secret),
            max_sessions=self._max_sessions[attempt.app_id],
        )
