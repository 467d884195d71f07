"""Signs access and refresh tokens; `web/auth.py` checks the access tokens.

Both kinds are a function of the grant alone, so every repeat of a login or of a
refresh inside its grace is answered with the same tokens, and no token is stored.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from config.clock import MS_PER_S, now_ms
from models.errors import Unauthenticated
from models.sealing import derive_key
from web.services.keyring import Keyring

if TYPE_CHECKING:
    from config.settings import Settings

MAX_REFRESH_TOKEN = 512
# 128 bits: no hash of it is turned back, and a token stays short.
SECRET_BYTES = 16

_encoder = msgspec.json.Encoder()


class Tokens(msgspec.Struct, frozen=True):
    """What a client keeps; lives in seconds, ``refresh_in`` is when to renew early."""

    access_token: str
    expires_in: int
    refresh_in: int
    refresh_token: str
    refresh_expires_in: int
    session_id: str
    token_type: str = "Bearer"  # noqa: S105 - the scheme of RFC 6750


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """What tokens are made from; times are epoch milliseconds.

    ``epoch`` is the user's at the opening of the session: once it is raised, every
    token with a lower one is void. ``secret`` is the session's own: stores keep its
    hash, so that the key that signs makes no token of a session they know.
    """

    session_id: str
    user_id: str
    app_id: str
    generation: int
    issued_at: int
    epoch: int
    opened_at: int
    secret: str

    @property
    def refresh_hash(self) -> str:
        """What the stores keep of ``secret``."""
        return hash_of(self.secret)


_read_grant = msgspec.json.Decoder(Grant).decode


class TokenSigner:
    """Makes token pairs for grants and reads refresh tokens back."""

    def __init__(self, settings: Settings) -> None:
        self._tokens = settings.tokens
        self._keyring = Keyring(settings)
        data_key = settings.secrets.data_key
        self._refresh_key = derive_key(data_key, "refresh-token")
        self._secret_key = derive_key(data_key, "session-secret")

    def secret(self, session_id: str, seed: str) -> str:
        """Return the secret of a session that ``seed`` opened: its login code.

        Whoever sends the code again gets the same one, and nothing is stored. What
        has no code draws a seed.
        """
        text = f"{session_id}\n{seed}".encode()
        return _b64(
            hmac.digest(self._secret_key, text, "sha256")[:SECRET_BYTES]
        ).decode()

    def ends_at(self, opened_at: int, issued_at: int) -> int:
        """Return when a refresh token of then ends: idle, or with its session."""
        longest = opened_at + self._tokens.session_max_s * MS_PER_S
        return min(issued_at + self._tokens.refresh_s * MS_PER_S, longest)

    def sign(self, grant: Grant) -> Tokens:
        """Return the token pair of ``grant``: the same one while one key signs."""
        left_ms = self.ends_at(grant.opened_at, grant.issued_at) - grant.issued_at
        left_s = max(1, left_ms // MS_PER_S)
        # A session's last access token ends with it.
        access_s = min(self._tokens.access_s, left_s)
        return Tokens(
            access_token=self._access(grant, access_s).decode(),
            expires_in=access_s,
            refresh_in=access_s // 2,
            refresh_token=self._refresh(grant).decode(),
            refresh_expires_in=left_s,
            session_id=grant.session_id,
        )

    def read_refresh(self, token: str) -> Grant:
        """Return the grant of a refresh token that is ours and still lives.

        Raises `Unauthenticated`: ``token_invalid``, or ``session_revoked`` at its end.
        """
        body, _, mac = token.encode("ascii", "replace").partition(b".")
        if len(token) > MAX_REFRESH_TOKEN or not mac:
            raise Unauthenticated("malformed refresh token")
        if not hmac.compare_digest(mac, self._mac(body)):
            raise Unauthenticated("refresh token of another key")
        try:
            text = urlsafe_b64decode(body + b"=" * (-len(body) % 4))
            grant = _read_grant(text)
        except (msgspec.MsgspecError, ValueError) as error:
            raise Unauthenticated("refresh token of another release") from error
        if self.ends_at(grant.opened_at, grant.issued_at) <= now_ms():
            # Only a new login helps: a refresh token is not refreshed.
            raise Unauthenticated("refresh token expired", reason="session_revoked")
        return grant

    def _access(self, grant: Grant, life_s: int) -> bytes:
        issued_s = grant.issued_at // MS_PER_S
        key = self._keyring.keys().signs
        claims = {
            "iss": self._tokens.issuer,
            "aud": self._tokens.audience,
            "sub": grant.user_id,
            "jti": token_id(grant.session_id, grant.generation),
            "iat": issued_s,
            "nbf": issued_s,
            "exp": issued_s + life_s,
            "type": "access",
            "sid": grant.session_id,
            "ep": grant.epoch,
            "app": grant.app_id,
        }
        signed = _header(key.kid) + b"." + _b64(_encoder.encode(claims))
        return signed + b"." + _b64(hmac.digest(key.secret, signed, "sha256"))

    def _refresh(self, grant: Grant) -> bytes:
        body = _b64(_encoder.encode(grant))
        return body + b"." + self._mac(body)

    def _mac(self, body: bytes) -> bytes:
        return _b64(hmac.digest(self._refresh_key, body, "sha256"))


def token_id(session_id: str, generation: int) -> str:
    """Return the ``jti``: one access token is issued per generation of a session."""
    return f"{session_id}.{generation}"


def generation_of(token_id_text: str) -> int:
    """Return the generation in a ``jti`` of ours."""
    return int(token_id_text.rpartition(".")[2])


def hash_of(secret: str) -> str:
    """Return what the stores keep of a session's secret."""
    return sha256(secret.encode()).hexdigest()


@lru_cache(maxsize=4)
def _header(kid: str) -> bytes:
    return _b64(_encoder.encode({"alg": "HS256", "kid": kid, "typ": "JWT"}))


def _b64(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")
