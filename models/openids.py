"""A user's openid, in the clear for one call to WeChat: SQL knows it, or a live login.

Nothing of it may leave the caller: no log line, no error, no argument carries it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.identities import find_sealed_openid
from models.sealing import sealer_for

if TYPE_CHECKING:
    from config.secrets import SecretSettings
    from models.database import Database
    from models.stores.wechat_keys import WeChatKeyStore


class OpenIds:
    """Finds openids by our own ids."""

    def __init__(
        self, secrets: SecretSettings, database: Database, keys: WeChatKeyStore
    ) -> None:
        self._sealer = sealer_for(secrets, "identity")
        self._database = database
        self._keys = keys

    def find(self, app_id: str, user_id: str) -> str | None:
        """Return the user's openid, None when neither SQL nor a live login knows it.

        Redis is asked only for a user whose first login is not in SQL yet; raises
        `RedisUnavailable` then, if it is away.
        """
        with self._database.read() as session:
            sealed = find_sealed_openid(session, app_id, user_id)
        if sealed is not None:
            return self._sealer.unseal(sealed, user_id).decode()
        (told,) = self._keys.find([(app_id, user_id)])
        return None if told is None else told.openid
