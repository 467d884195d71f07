"""The fast copy of sessions: opening, rotation, revocation, and sealed WeChat keys.

Redis away: every method raises `RedisUnavailable`; `models/sessions.py` is asked then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from config.clock import now_ms
from config.metrics.accounts import REFRESH_PROOFS
from models.errors import RedisUnavailable
from models.login_entry import LoginEntry
from models.rotation import Rotation
from models.rotation_trail import TRAIL_LENGTH
from models.sessions import EndReason
from models.stores.scripts import load_script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.session_ended import EndedSession
    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys
    from models.stores.wechat_keys import WeChatKeyStore, WeChatSecrets

MARK_ENDED = load_script("mark_ended")
OPEN_SESSION = load_script("open_session")
RESTORE_SESSION = load_script("restore_session")
ROTATE_SESSION = load_script("rotate_session")

# The end of an action that has none.
FOREVER = 1 << 62

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class NewSession:
    """Everything `open` writes; lives are in milliseconds."""

    entry: LoginEntry
    secrets: WeChatSecrets
    code_key: str
    record: bytes
    record_ms: int
    life_ms: int
    secrets_ms: int
    standing_asked: bool = False


class Opened(NamedTuple):
    """What became of `open`: ``record`` with ``opened``, ``alias`` with ``alias``."""

    outcome: Literal["opened", "ask", "banned", "blocked", "alias"]
    record: bytes = b""
    alias: str = ""


class Current(NamedTuple):
    """A session as it is now: whether it lives, its generation and when it was made.

    ``blocked`` is what its user is at present, whatever becomes of the session.
    """

    live: bool
    generation: int
    rotated_at: int
    blocked: bool = False


class SessionStore:
    """Sessions in Redis; the SQL rows follow through the login journal."""

    def __init__(
        self,
        redis: SharedPipeline,
        keys: Keys,
        wechat_keys: WeChatKeyStore,
        *,
        longest_ms: int,
    ) -> None:
        self._redis = redis
        # A session's longest life: so long a user's list of them is kept.
        self._longest_ms = longest_ms
        self._keys = keys
        self._wechat_keys = wechat_keys

    def open(self, new: NewSession) -> Opened:
        """Write the session, the sealed key, the journal entry and the code's record.

        One round trip, all or nothing. ``opened`` carries the record that stands
        under the code: a faster caller's, if there was one; the cached profile of a
        user we know follows on a second line. The other outcomes wrote nothing:
        ``ask`` SQL for the user's standing, put it, and open again; ``banned``;
        ``blocked``; ``alias`` names the user to open for instead. Record and entry
        must carry `UNKNOWN_EPOCH`, which is filled in.
        """
        entry = new.entry
        outcome, detail = self._redis.run(
            OPEN_SESSION,
            [
                new.code_key,
                self._keys.session(entry.session_id),
                self._keys.sessions(entry.user_id),
                self._keys.wechat_key(entry.user_id),
                self._keys.logins,
                self._keys.user(entry.user_id),
                self._keys.standing(entry.user_id),
                self._keys.standings,
                self._keys.previous_key(entry.user_id),
            ],
            [
                new.record,
                new.record_ms,
                entry.session_id,
                entry.user_id,
                entry.app_id,
                entry.at,
                new.life_ms,
                self._wechat_keys.seal(new.secrets, entry.app_id, entry.user_id),
                new.secrets_ms,
                _encoder.encode(entry),
                "1" if new.standing_asked else "",
                self._wechat_keys.lives.previous_ms,
                self._wechat_keys.lives.contested_ms,
                entry.refresh_hash or "",
                self._longest_ms,
            ],
        )
        if outcome == b"opened":
            return Opened("opened", record=bytes(detail))
        return Opened(outcome.decode(), alias=detail.decode())

    def rotate(self, entry: LoginEntry, *, grace_ms: int) -> Rotation:
        """Rotate the refresh token that ``entry`` describes, and journal it.

        The script fills in generation and time. ``unknown`` means that Redis does not
        hold the session, ``behind`` that it holds an older one, ``unsure`` that this
        Redis may lack its end.
        """
        template = msgspec.to_builtins(entry)
        template |= {"generation": "@generation@", "at": "@at@"}
        outcome, generation, at, unproven = self._redis.run(
            ROTATE_SESSION,
            [
                self._keys.session(entry.session_id),
                self._keys.logins,
                self._keys.standing(entry.user_id),
                self._keys.standings,
            ],
            [
                entry.generation,
                grace_ms,
                entry.expires_at - entry.at,
                _encoder.encode(template),
                entry.refresh_hash or "",
                TRAIL_LENGTH,
            ],
        )
        if unproven:
            REFRESH_PROOFS.labels("unproven").inc()
        return Rotation(outcome.decode(), int(generation), int(at))

    def restore(self, entry: LoginEntry, trail: str = "") -> bool:
        """Write the copy again after Redis lost it, and journal what SQL may lack.

        ``trail`` are the rotations before, as far as known. False when a copy
        stands there that is as new, or revoked.
        """
        written = self._redis.run(
            RESTORE_SESSION,
            [
                self._keys.session(entry.session_id),
                self._keys.sessions(entry.user_id),
                self._keys.logins,
            ],
            [
                entry.session_id,
                entry.user_id,
                entry.app_id,
                entry.generation,
                entry.at,
                entry.expires_at - entry.at,
                _encoder.encode(entry),
                entry.epoch,
                entry.refresh_hash or "",
                entry.began_at,
                self._longest_ms,
                trail,
            ],
        )
        return bool(written)

    def journal(self, entry: LoginEntry) -> None:
        """Have the enrichment write ``entry``, when SQL cannot be told now."""
        self._redis.execute("XADD", self._keys.logins, "*", "e", _encoder.encode(entry))

    def find_current(self, session_id: str, user_id: str) -> Current | None:
        """Return the session as it is now, None when Redis does not hold it.

        Raises `RedisUnavailable` also while this Redis may lack its end.
        """
        (user, generation, rotated, revoked, epoch), standing, whole = (
            self._redis.execute_many(
                [
                    (
                        "HMGET",
                        self._keys.session(session_id),
                        *("user", "generation", "rotated", "revoked", "epoch"),
                    ),
                    (
                        "HMGET",
                        self._keys.standing(user_id),
                        *("epoch", "banned", "action", "until"),
                    ),
                    ("EXISTS", self._keys.standings),
                ]
            )
        )
        if user is not None and not whole and not revoked:
            raise RedisUnavailable("its end may be missing here")
        if user is None:
            return None
        over = standing[1] == b"1" or int(standing[0] or 0) > int(epoch or 0)
        live = revoked is None and not over
        blocked = standing[2] == b"block" and now_ms() < int(standing[3] or FOREVER)
        return Current(live, int(generation or 0), int(rotated or 0), blocked)

    def keep_newest(self, user_id: str, keep: int, *, life_ms: int) -> list[str]:
        """Mark all but the user's ``keep`` newest sessions as replaced; return those.

        One round trip when there are not too many.
        """
        name = self._keys.sessions(user_id)
        if int(self._redis.execute("ZCARD", name)) <= keep:
            return []
        beyond = self.list_ids(user_id)[:-keep]
        self.revoke(user_id, beyond, life_ms=life_ms, reason="replaced")
        return beyond

    def list_ids(self, user_id: str) -> list[str]:
        """Return the ids of the user's live sessions, oldest first."""
        found = self._redis.execute("ZRANGE", self._keys.sessions(user_id), 0, -1)
        ids = [item.decode() for item in found]
        if not ids:
            return []
        states = self._redis.execute_many(
            [("HMGET", self._keys.session(name), "user", "revoked") for name in ids]
        )
        return [
            name
            for name, (user, revoked) in zip(ids, states, strict=True)
            if user is not None and revoked is None
        ]

    def mark_ended(self, ended: Sequence[EndedSession], *, life_ms: int) -> int:
        """Mark sessions that SQL knows to have ended; tells how many lived on here.

        One round trip; up to a thousand at a time hold Redis up for milliseconds.
        """
        if not ended:
            return 0
        keys = [self._keys.session(one.id) for one in ended]
        told = [word for one in ended for word in (one.user_id, one.reason)]
        return int(self._redis.run(MARK_ENDED, keys, [life_ms, *told]))

    def revoke(
        self,
        user_id: str,
        session_ids: Sequence[str],
        *,
        life_ms: int,
        reason: EndReason = "logout",
    ) -> None:
        """Mark sessions revoked; the mark lives as long as a session may."""
        commands: list[tuple[str | int, ...]] = []
        for session_id in session_ids:
            name = self._keys.session(session_id)
            commands += [
                ("HSET", name, "user", user_id, "revoked", reason),
                ("PEXPIRE", name, life_ms),
                ("ZREM", self._keys.sessions(user_id), session_id),
            ]
        if commands:
            self._redis.execute_many(commands)
