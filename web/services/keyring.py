"""The keys of access tokens in this process: one signs, at most one more verifies.

`web/services/tokens.py` signs and `web/auth.py` verifies with it. Where keys stand in
files (`config/jwt_keys.py`) it follows them: no restart at a rotation.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, NamedTuple

from config.clock import MS_PER_S, monotonic, now_ms
from config.jwt_keys import TokenKeys, read_token_keys, stamp_of
from config.logging import get_logger
from config.metrics.accounts import JWT_KEY_FAULTS

if TYPE_CHECKING:
    from config.settings import Settings

KID_BYTES = 8
# A flood of invented key ids costs two looks at a file's facts this often, and delays
# the first token of a new key by no more.
UNKNOWN_EVERY_S = 0.1

_log = get_logger(__name__)


class SigningKey(NamedTuple):
    """One key under its id; ``ends_at`` is epoch milliseconds, None for no end."""

    kid: str
    secret: bytes
    ends_at: int | None = None


class Keys(NamedTuple):
    """The fixed list of one moment: the key that signs, and all that verify by id."""

    signs: SigningKey
    verifies: dict[str, SigningKey]


class Keyring:
    """The keys of this process, never older than ``JWT_KEY_RELOAD_S``.

    Files that cannot be read or hold no key leave the keys as they are; it is counted
    and tried again.
    """

    def __init__(self, settings: Settings) -> None:
        self._files = settings.jwt_files
        self._fixed = settings.secrets
        self._reload_s = settings.tokens.key_reload_s
        self._found = TokenKeys(self._fixed.jwt_key, self._fixed.jwt_key_previous)
        self._keys = _keys_of(self._found)
        self._stamp: tuple[tuple[int, ...], ...] | None = None
        self._faulty = False
        # Settings may be older than the files: the first use looks.
        self._due = self._looked = 0.0

    def keys(self) -> Keys:
        """Return the keys of now: the same object until one comes or ends."""
        if monotonic() >= self._due:
            self._look()
        return self._keys

    def find(self, kid: str) -> SigningKey | None:
        """Return the key of that id if it verifies now.

        An id that is not known may be that of a key just drawn: the files are looked
        at, a few times a second at most.
        """
        found = self.keys().verifies.get(kid)
        if found is None and monotonic() - self._looked >= UNKNOWN_EVERY_S:
            self._look()
            found = self._keys.verifies.get(kid)
        return found if found is not None and _lives(found.ends_at) else None

    def _look(self) -> None:
        """Read files that changed; let go of a key whose time is over."""
        self._looked = monotonic()
        try:
            stamp = stamp_of(self._files)
            if stamp != self._stamp:
                self._found = read_token_keys(self._files, self._fixed)
                self._stamp = stamp
            self._faulty = False
        except (OSError, ValueError) as error:
            self._complain(error)
        keys = _keys_of(self._found)
        if keys != self._keys:
            _log.info("token keys changed", count=len(keys.verifies))
            self._keys = keys
        self._due = self._looked + min(self._reload_s, _until_end_s(keys))

    def _complain(self, error: Exception) -> None:
        JWT_KEY_FAULTS.labels("read").inc()
        if not self._faulty:
            _log.error("token keys unreadable", cause=type(error).__name__)
        self._faulty = True


def kid_of(key: bytes) -> str:
    """Return the id of a key: the same in every process, and telling nothing of it."""
    return hmac.digest(key, b"kuaida:kid", "sha256")[:KID_BYTES].hex()


def _keys_of(found: TokenKeys) -> Keys:
    signs = SigningKey(kid_of(found.current), found.current)
    verifies = {signs.kid: signs}
    old = found.previous
    if old is not None and _lives(old.ends_at):
        verifies[kid_of(old.key)] = SigningKey(kid_of(old.key), old.key, old.ends_at)
    return Keys(signs, verifies)


def _lives(ends_at: int | None) -> bool:
    return ends_at is None or ends_at > now_ms()


def _until_end_s(keys: Keys) -> float:
    """Return the seconds until a key ends, none left when one is over."""
    ends = [k.ends_at for k in keys.verifies.values() if k.ends_at is not None]
    return min((end - now_ms()) / MS_PER_S for end in ends) if ends else float("inf")
