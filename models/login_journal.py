"""Logins outside the Redis stream: as sealed text in the payload of an outbox row.

Written by `web/services/login_fallback.py` while Redis is away and by
`tasks/login_batch.py` for entries that cannot be stored; read by `tasks/logins.py`.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from models.login_entry import LoginEntry
from models.sealing import Sealer, Unsealable

PURPOSE = "login-journal"

_encoder = msgspec.json.Encoder()


class WeChatNames(msgspec.Struct, frozen=True):
    """Who code2session says it is; the session_key is never part of a journal."""

    openid: str
    unionid: str | None = None


class JournaledLogin(msgspec.Struct, frozen=True):
    """A login and who it was, since no Redis holds the latter."""

    entry: LoginEntry
    # Rows of earlier releases have this name, and a session_key that nobody reads.
    names: WeChatNames = msgspec.field(name="secrets")


def seal_login(sealer: Sealer, login: JournaledLogin) -> str:
    """Return ``login`` as an outbox payload; its row's subject is the login's id."""
    return seal_bytes(sealer, _encoder.encode(login), login.entry.id)


def unseal_login(sealer: Sealer, payload: str, login_id: str) -> JournaledLogin:
    """Return what `seal_login` sealed; raises Unsealable or msgspec.DecodeError."""
    plain = unseal_bytes(sealer, payload, login_id)
    return msgspec.json.decode(plain, type=JournaledLogin)


def seal_bytes(sealer: Sealer, plain: bytes, subject_id: str) -> str:
    """Return ``plain`` sealed for the row of ``subject_id``, as text."""
    return base64.b64encode(sealer.seal(plain, subject_id)).decode()


def unseal_bytes(sealer: Sealer, payload: str, subject_id: str) -> bytes:
    """Return what `seal_bytes` sealed; raises Unsealable."""
    try:
        return sealer.unseal(base64.b64decode(payload, validate=True), subject_id)
    except binascii.Error as error:
        raise Unsealable("not base64") from error
