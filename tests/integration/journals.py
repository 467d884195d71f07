"""Logins and outbox rows for tests of the journals, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from config.clock import now_ms
from models.base import new_id
from models.device_info import DeviceInfo
from models.login_entry import LoginEntry
from models.outbox import Outbox
from models.sealing import IdentityHasher
from models.stores.wechat_keys import WeChatSecrets

if TYPE_CHECKING:
    from models.stores.container import Stores
    from tasks.app import Resources

APP = "wxdemo0000000001"
WARM = "tasks.profile.warm_user_cache"
SESSION_KEY = "HyVFkGl5F5OQWJZZaNzBBg=="


def make_login(house: Resources, number: int = 1, **changes: Any) -> LoginEntry:
    """Return a login of user ``number`` from their phone."""
    hasher = IdentityHasher(house.settings.secrets.id_key)
    entry = LoginEntry(
        id=new_id("lg"),
        kind="login",
        user_id=hasher.user_id(APP, openid(number)),
        app_id=APP,
        session_id=new_id("s"),
        at=now_ms(),
        expires_at=now_ms() + 86_400_000,
        device=DeviceInfo(id=f"phone-{number}", model="iPhone 15", platform="ios"),
        ip="127.0.0.1",
    )
    return msgspec.structs.replace(entry, **changes)


def openid(number: int) -> str:
    """Return the openid of user ``number``."""
    return f"o6_bmjrPTlm6_2sgVt7hMZ{number:06d}"


def secrets_of(number: int = 1, unionid: str | None = None) -> WeChatSecrets:
    """Return what code2session says about user ``number``."""
    return WeChatSecrets(openid(number), SESSION_KEY, unionid)


def journal(
    house: Resources, *entries: LoginEntry, bodies: tuple[bytes, ...] = ()
) -> None:
    """Put logins, and raw ``bodies`` after them, into the stream."""
    stream = house.stores.keys.logins
    encoded = [msgspec.json.encode(entry) for entry in entries]
    house.stores.redis.execute_many(
        [("XADD", stream, "*", "e", body) for body in (*encoded, *bodies)]
    )


def remember(stores: Stores, entry: LoginEntry, told: WeChatSecrets) -> None:
    """Keep what code2session said, sealed, as a login does."""
    name = stores.keys.wechat_key(entry.user_id)
    sealed = stores.wechat_keys.seal(told, entry.app_id, entry.user_id)
    stores.redis.execute("SET", name, sealed)


def fetch(house: Resources, count: int = 100) -> list[str]:
    """Read new entries as the relay does and return their ids."""
    house.stores.login_stream.make_group()
    return house.stores.login_stream.read("test", count=count, block_ms=1)


def look(house: Resources, query: str, **values: object) -> list[dict[str, Any]]:
    """Return the committed rows of a query."""
    with house.database.read() as session:
        found = session.execute(sa.text(query), values).mappings().all()
    return [dict(row) for row in found]


def outbox_row(house: Resources, row_id: str) -> Outbox:
    """Return an outbox row as it is committed."""
    with house.database.read() as session:
        return session.get_one(Outbox, row_id)


def enqueue(house: Resources, task: str = WARM, count: int = 1) -> list[str]:
    """Accept work and return its ids."""
    with house.database.unit_of_work() as work:
        return [work.enqueue(task, "u_1") for _ in range(count)]
