"""Turns what WeChat said of a person into the row that SQL keeps of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.identities import IdentityRow
from models.sealing import IdentityHasher, sealer_for

if TYPE_CHECKING:
    from config.secrets import SecretSettings
    from models.login_journal import WeChatNames
    from models.stores.wechat_keys import WeChatSecrets


class IdentitySealer:
    """Seals openid and unionid for their user, and makes the hashes to look up by."""

    def __init__(self, secrets: SecretSettings) -> None:
        self._hasher = IdentityHasher(secrets.id_key)
        self._sealer = sealer_for(secrets, "identity")

    def row(
        self, app_id: str, user_id: str, told: WeChatNames | WeChatSecrets
    ) -> IdentityRow:
        """Return the identity row of one user."""
        seal, look_up = self._sealer.seal, self._hasher.look_up
        unionid = told.unionid or None
        return IdentityRow(
            user_id=user_id,
            derived_id=self._hasher.user_id(app_id, told.openid),
            app_id=app_id,
            openid_hash=look_up("openid", told.openid),
            openid_sealed=seal(told.openid.encode(), user_id),
            unionid_hash=look_up("unionid", unionid) if unionid else None,
            unionid_sealed=seal(unionid.encode(), user_id) if unionid else None,
        )
