"""Who is calling: access tokens, verified by flask-jwt-extended and remembered.

The library, hardened by a strict reading of the text (`web/access_token.py`), verifies
each token once; later requests find it in a bounded memory.
`web/services/tokens.py` signs what is checked here.
"""

from __future__ import annotations

import hmac
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import jwt
import msgspec
from flask_jwt_extended import JWTManager, decode_token
from flask_jwt_extended.exceptions import JWTExtendedException

from config.clock import MS_PER_S, now_ms
from models.errors import InvalidInput, Unauthenticated
from web.access_token import AccessPayload, read_token
from web.services.caller import Claims
from web.services.keyring import Keyring

if TYPE_CHECKING:
    from flask import Flask

    from config.settings import Settings

ALGORITHM: Final = "HS256"
# Each process meets a user about once a second at most while a token lives 900 s;
# 4096 tokens of about 1 kB are 4 MB, and a miss only costs one verification.
REMEMBERED_TOKENS: Final = 4096
MAX_TOKEN_LENGTH: Final = 2048
_PART: Final = r"[A-Za-z0-9_-]+"
_TOKEN: Final = re.compile(rf"{_PART}\.{_PART}\.{_PART}\Z")
# The name of a scheme is case-insensitive (RFC 9110 11.1); nothing else is.
_SCHEME: Final = r"(?ai:bearer)"
_BEARER: Final = re.compile(rf"{_SCHEME} ({_PART}\.{_PART}\.{_PART})\Z")
_ADMIN: Final = re.compile(rf"{_SCHEME} ([\x21-\x7e]+)\Z")


class TokenCheck:
    """Verifies access tokens; needs an application context at first sight of one."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._keyring = Keyring(settings)
        self._keys = self._keyring.keys()
        self._longest_s = settings.tokens.access_s
        apps = settings.wechat.apps
        self._only_app = apps[0].app_id if len(apps) == 1 else ""
        self._seen: OrderedDict[str, Claims] = OrderedDict()
        app.config.update(
            JWT_ALGORITHM=ALGORITHM,
            JWT_DECODE_ALGORITHMS=[ALGORITHM],
            JWT_DECODE_ISSUER=settings.tokens.issuer,
            JWT_DECODE_AUDIENCE=settings.tokens.audience,
            JWT_DECODE_LEEWAY=settings.tokens.leeway_s,
            JWT_TOKEN_LOCATION=["headers"],
        )
        manager = JWTManager(app)
        manager.decode_key_loader(self._key_for)

    def claims(self, authorization: str | None) -> Claims:
        """Return the claims of one Authorization header.

        Raises `Unauthenticated`: ``token_missing`` without a header,
        ``token_expired``, and ``token_invalid`` for everything else. Repeated
        headers reach us joined by a comma and so do not match.
        """
        if authorization is None:
            raise Unauthenticated(reason="token_missing")
        found = _BEARER.match(authorization)
        if found is None or len(authorization) > MAX_TOKEN_LENGTH:
            raise Unauthenticated("malformed header")
        return self.read(found.group(1))

    def read(self, token: str) -> Claims:
        """Return the claims of a token; raises as `claims` does.

        ``app_id`` is empty where the token names none and there are several apps: the
        session has to be asked (`SessionService.placed`).
        """
        if not _TOKEN.match(token) or len(token) > MAX_TOKEN_LENGTH:
            raise Unauthenticated("malformed token")
        self._forget_old_keys()
        claims = self._seen.get(token)
        if claims is None or claims.expires_at * MS_PER_S <= now_ms():
            claims = self._verify(token)
        return claims

    def _verify(self, token: str) -> Claims:
        keys = self._keys
        try:
            _, payload = read_token(token)
            decode_token(token)
            self._check(payload)
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated(reason="token_expired") from error
        except (
            jwt.PyJWTError,
            JWTExtendedException,
            msgspec.MsgspecError,
            InvalidInput,
            ValueError,
            TypeError,
            RecursionError,
        ) as error:
            raise Unauthenticated(type(error).__name__) from error
        claims = Claims(
            user_id=payload.sub,
            session_id=payload.sid,
            app_id=self._only_app if payload.app is msgspec.UNSET else payload.app,
            token_id=payload.jti,
            expires_at=payload.exp,
            issued_at=payload.iat,
            epoch=payload.ep,
        )
        if keys is self._keys:
            # Not what was verified while its key ended: nobody would forget it.
            self._remember(token, claims)
        return claims

    def _check(self, payload: AccessPayload) -> None:
        """Raise `Unauthenticated` for claims that no token of ours combines."""
        life_s = payload.exp - payload.iat
        if (
            not 0 < life_s <= self._longest_s
            or payload.jti.rpartition(".")[0] != payload.sid
        ):
            raise Unauthenticated("claims do not fit together")

    def _remember(self, token: str, claims: Claims) -> None:
        self._seen[token] = claims
        if len(self._seen) > REMEMBERED_TOKENS:
            self._seen.popitem(last=False)

    def _forget_old_keys(self) -> None:
        """Begin the memory anew when a key came or ended: it may hold its tokens."""
        keys = self._keyring.keys()
        if keys is not self._keys:
            self._seen.clear()
            self._keys = keys

    def _key_for(self, header: dict[str, Any], _payload: dict[str, Any]) -> bytes:
        key = self._keyring.find(header["kid"])
        if key is None:
            raise Unauthenticated("unknown key")
        return key.secret


def require_admin(authorization: str | None, admin_token: str) -> None:
    """Pass the internal listener's own token; raises `Unauthenticated`."""
    if authorization is None:
        raise Unauthenticated(reason="token_missing")
    found = _ADMIN.match(authorization)
    if found is None:
        raise Unauthenticated("malformed header")
    if not hmac.compare_digest(found.group(1).encode(), admin_token.encode()):
        raise Unauthenticated("not the admin token")
