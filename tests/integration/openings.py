"""Sessions to open in Redis, for the tests of the stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from config.clock import now_ms
from models.login_entry import LoginEntry
from models.stores.sessions import NewSession
from models.stores.wechat_keys import WeChatSecrets

if TYPE_CHECKING:
    from models.stores.container import Stores

APP, USER = "wx1", "u_1"
TOLD = WeChatSecrets("openid-1", "session-key-1", "unionid-1")
LIFE_MS, GRACE_MS = 3_600_000, 600_000
REFRESH_HASH = "ab" * 32


def entry(session_id: str = "se_1", **changes: Any) -> LoginEntry:
    at = now_ms()
    values = {
        "id": f"lg_{session_id}",
        "kind": "login",
        "user_id": USER,
        "app_id": APP,
        "session_id": session_id,
        "at": at,
        "expires_at": at + LIFE_MS,
        "refresh_hash": REFRESH_HASH,
        **changes,
    }
    return LoginEntry(**values)


def new(session_id: str = "se_1", code: str = "c1", **changes: Any) -> NewSession:
    values = {
        "entry": entry(session_id),
        "secrets": TOLD,
        "code_key": f"kuaida:code:{code}",
        "record": f"r{session_id}".encode(),
        "record_ms": 600_000,
        "life_ms": LIFE_MS,
        "secrets_ms": 600_000,
        "standing_asked": True,
        **changes,
    }
    return NewSession(**values)


def journal(stores: Stores) -> list[LoginEntry]:
    """Return what the journal holds, oldest first."""
    found = stores.redis.execute("XRANGE", stores.keys.logins, "-", "+")
    return [msgspec.json.decode(fields[1], type=LoginEntry) for _, fields in found]
