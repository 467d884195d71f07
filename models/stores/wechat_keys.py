"""What WeChat told us at login, in Redis only: sealed, bound to its user, short-lived.

A login replaces the key in `lua/open_session.lua`; the one before stays a while, for
data that was encrypted just before. `wechat/key_check.py` finds out which of the two
WeChat holds, `web/services/open_data.py` opens data with them.

Redis away: every method raises `RedisUnavailable` but `recall`, which asks anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from models.sealing import KEY_ID, Unsealable
from models.stores.scripts import load_script
from models.stores.shared_flight import Place, SharedFlight

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.sealing import IdentityHasher, Sealer
    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys

SWAP_KEYS = load_script("swap_wechat_keys")
REPLACE_KEY = load_script("replace_wechat_key")
# Hex digits of a keyed hash of the key: equal keys are known by it, sealed or not.
TAG_LENGTH = 16

_encoder = msgspec.json.Encoder()


class WeChatSecrets(msgspec.Struct, frozen=True):
    """What code2session told us; exists only sealed, outside this process' memory."""

    openid: str
    session_key: str
    unionid: str | None = None

    def __repr__(self) -> str:
        """Hide every field: all of them are about a person."""
        return "WeChatSecrets(…)"


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key as Redis holds it; two with one ``tag`` are the same key."""

    tag: str
    secrets: WeChatSecrets = field(repr=False)


class KeyLives(NamedTuple):
    """How long what stands beside a key lives, in milliseconds.

    A key written within ``contested_ms`` after another one may be the older of them.
    """

    previous_ms: int
    contested_ms: int
    verdict_ms: int


class HeldKeys(NamedTuple):
    """A user's key, and the one before it as long as that may still be of use."""

    current: HeldKey | None
    previous: HeldKey | None

    @property
    def texts(self) -> list[str]:
        """The session_keys to try, in this order."""
        return [key.secrets.session_key for key in self if key is not None]


class WeChatKeyStore:
    """The sealed keys of users."""

    def __init__(
        self,
        redis: SharedPipeline,
        keys: Keys,
        *,
        sealer: Sealer,
        hasher: IdentityHasher,
        lives: KeyLives,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._sealer = sealer
        self._hasher = hasher
        self.lives = lives
        self._verdicts = SharedFlight(redis, lambda _: lives.verdict_ms)

    def seal(self, secrets: WeChatSecrets, app_id: str, user_id: str) -> bytes:
        """Return ``secrets`` as Redis holds them: the key's tag, then the blob."""
        owner = _owner(app_id, user_id)
        sealed = self._sealer.seal(_encoder.encode(secrets), owner)
        return self._tag(secrets, owner).encode() + sealed

    def unseal(self, value: bytes, app_id: str, user_id: str) -> HeldKey | None:
        """Return what `seal` sealed; None when it was not sealed for this user."""
        # Releases before the tag wrote the blob alone; it begins with its key id.
        start = 0 if value[:1] == KEY_ID else TAG_LENGTH
        owner = _owner(app_id, user_id)
        try:
            plain = self._sealer.unseal(value[start:], owner)
            secrets = msgspec.json.decode(plain, type=WeChatSecrets)
        except (Unsealable, msgspec.DecodeError):
            return None
        return HeldKey(self._tag(secrets, owner), secrets)

    def find(self, users: Sequence[tuple[str, str]]) -> list[WeChatSecrets | None]:
        """Return the WeChat secrets of (app_id, user_id) pairs, None where gone."""
        if not users:
            return []
        names = [self._keys.wechat_key(user_id) for _, user_id in users]
        values = self._redis.execute("MGET", *names)
        held = [
            None if value is None else self.unseal(value, *user)
            for value, user in zip(values, users, strict=True)
        ]
        return [None if key is None else key.secrets for key in held]

    def load(self, app_id: str, user_id: str) -> HeldKeys:
        """Return the user's keys; one round trip."""
        values = self._redis.execute("MGET", *self._places(user_id))
        current, previous = (
            None if value is None else self.unseal(value, app_id, user_id)
            for value in values
        )
        return HeldKeys(current, previous)

    def swap(self, user_id: str, seen: HeldKeys) -> bool:
        """Make the previous key the current one; False when a newer login came."""
        if seen.current is None or seen.previous is None:
            return False
        tags = [seen.current.tag, seen.previous.tag]
        places = self._places(user_id)
        return bool(self._redis.run(SWAP_KEYS, places, [*tags, self.lives.previous_ms]))

    def replace(
        self, app_id: str, user_id: str, seen: HeldKey, fresh: WeChatSecrets
    ) -> bool:
        """Put ``fresh`` in the place of a key that is to open nothing any more.

        It ends when the old one would have. False when a newer login came.
        """
        value = self.seal(fresh, app_id, user_id)
        return bool(
            self._redis.run(REPLACE_KEY, self._places(user_id), [seen.tag, value])
        )

    def drop(self, user_id: str, seen: HeldKey) -> bool:
        """Forget both keys; False when a newer login came: its key stays."""
        return bool(
            self._redis.run(REPLACE_KEY, self._places(user_id), [seen.tag, b""])
        )

    def recall(self, user_id: str, seen: HeldKey, ask: Callable[[], bytes]) -> bytes:
        """Return the verdict on a key that is remembered, or ``ask`` once for all."""
        place = Place(
            self._keys.key_verdict(user_id, seen.tag),
            self._keys.key_check(user_id, seen.tag),
        )
        return self._verdicts.run(place, ask)

    def _tag(self, secrets: WeChatSecrets, owner: str) -> str:
        named = f"{owner}:{secrets.session_key}"
        return self._hasher.look_up("session_key", named)[:TAG_LENGTH]

    def _places(self, user_id: str) -> list[str]:
        return [self._keys.wechat_key(user_id), self._keys.previous_key(user_id)]


def _owner(app_id: str, user_id: str) -> str:
    return f"{app_id}:{user_id}"
