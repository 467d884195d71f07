"""Which of a user's session_keys WeChat holds, and that it is the one we go on with.

Two logins at once may reach our store in another order than WeChat made their keys.
`tasks/wechat_keys.py` settles that in the background; `web` asks after a failure only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from config.metrics.wechat import SESSION_KEY_CHECKS

if TYPE_CHECKING:
    from config.clock import Deadline
    from models.stores.wechat_keys import HeldKey, HeldKeys
    from wechat.gateway import Gateway

Verdict = Literal["alive", "swapped", "stale", "gone"]


class KeyShelf(Protocol):
    """What of the key store is needed; both raise RedisUnavailable."""

    def load(self, app_id: str, user_id: str) -> HeldKeys:
        """Return the user's keys."""

    def swap(self, user_id: str, seen: HeldKeys) -> bool:
        """Make the previous key the current one; False when a newer login came."""


class KeyCheck:
    """Asks WeChat about keys."""

    def __init__(self, shelf: KeyShelf, gateway: Gateway) -> None:
        self._shelf = shelf
        self._gateway = gateway

    def settle(self, app_id: str, user_id: str, deadline: Deadline) -> Verdict:
        """Make the key that WeChat holds the current one; tell what was found.

        ``stale`` means WeChat holds none of ours, ``gone`` that we hold none. Raises
        RedisUnavailable and any WeChatError; nothing has changed then.
        """
        keys = self._shelf.load(app_id, user_id)
        verdict = self._verdict(app_id, user_id, keys, deadline)
        SESSION_KEY_CHECKS.labels(verdict).inc()
        return verdict

    def _verdict(
        self, app_id: str, user_id: str, keys: HeldKeys, deadline: Deadline
    ) -> Verdict:
        current, previous = keys
        if current is None:
            return "gone"
        if self._is_alive(app_id, current, deadline):
            return "alive"
        if previous is None or previous.tag == current.tag:
            return "stale"
        if not self._is_alive(app_id, previous, deadline):
            return "stale"
        # Refused only when a newer login came: what that brought is the answer then.
        self._shelf.swap(user_id, keys)
        return "swapped"

    def _is_alive(self, app_id: str, key: HeldKey, deadline: Deadline) -> bool:
        client = self._gateway.client(app_id)
        told = key.secrets
        return client.check_session_key(
            told.openid, told.session_key, deadline=deadline
        )
