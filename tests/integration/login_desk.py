"""The front's side of the login journal, and a look at what SQL holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from config.clock import now_ms
from models.base import new_id
from models.device_info import DeviceInfo
from models.login_entry import LoginEntry
from models.sealing import IdentityHasher
from models.stores.sessions import NewSession
from models.stores.wechat_keys import WeChatSecrets
from tests.servers.schema import rows

if TYPE_CHECKING:
    from tasks.app import Resources

APP = "wxdemo0000000001"
LIFE_MS = 3_600_000


class Desk:
    """The front's side of the journal, and a look at what SQL holds."""

    def __init__(self, house: Resources, database_url: str) -> None:
        self.house = house
        self.url = database_url
        # Of whoever logs in next; WeChat tells it in one login and not in another.
        self.unionid: str | None = "union"
        self.hasher = IdentityHasher(house.settings.secrets.id_key)
        house.stores.login_stream.make_group()

    def entry(self, openid: str, **changes: Any) -> LoginEntry:
        """Return the journal entry of one login."""
        at = now_ms()
        entry = LoginEntry(
            id=new_id("lg"),
            kind="login",
            user_id=self.hasher.user_id(APP, openid),
            app_id=APP,
            session_id=new_id("se", at),
            at=at,
            expires_at=at + LIFE_MS,
            device=DeviceInfo(id=f"phone-{openid}", model="M", platform="ios"),
            ip="10.0.0.1",
        )
        return msgspec.structs.replace(entry, **changes)

    def login(self, openid: str, **changes: Any) -> LoginEntry:
        """Open a session as the front does: one entry in the stream."""
        entry = self.entry(openid, **changes)
        self.house.stores.sessions.open(
            NewSession(
                entry=entry,
                secrets=WeChatSecrets(openid, "c2Vzc2lvbi1rZXktMTYtYg==", self.unionid),
                code_key=self.house.stores.keys.code(APP, entry.id),
                record=b"r",
                record_ms=LIFE_MS,
                life_ms=LIFE_MS,
                secrets_ms=LIFE_MS,
                standing_asked=True,
            )
        )
        return entry

    def put(self, body: bytes) -> None:
        """Append raw bytes to the stream."""
        self.house.stores.redis.execute(
            "XADD", self.house.stores.keys.logins, "*", "e", body
        )

    def batch(self) -> list[str]:
        """Return the ids of everything new, as the relay would send them."""
        stream = self.house.stores.login_stream
        return stream.read("test", count=1000, block_ms=1)

    def sql(self, query: str, **values: object) -> list[dict[str, Any]]:
        """Look into SQL."""
        return rows(self.url, query, **values)

    def counts(self) -> dict[str, int]:
        """Return user id -> login count."""
        found = self.sql("SELECT id, login_count FROM users")
        return {row["id"]: row["login_count"] for row in found}

    def left(self) -> int:
        """Return how many entries are not acknowledged."""
        return self.house.stores.login_stream.backlog().length
