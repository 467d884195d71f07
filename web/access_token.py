"""The text of an access token, read strictly: three parts, one spelling, known claims.

Says nothing about the signature; `web/auth.py` has the library verify that.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Final, Literal

import msgspec

from web.strict_json import parse_object

# No claim of ours is an object; a stranger's claim may be, a little.
MAX_DEPTH: Final = 4

# As long as the columns of these ids, and safe as part of a key's name.
Id = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_.-]{1,40}\Z")]
AppId = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_.-]{1,64}\Z")]
TokenId = Annotated[
    str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_.-]{1,40}\.[1-9][0-9]{0,14}\Z")
]
# Beyond 2**53 a number is not the same to every reader.
Seconds = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Header(msgspec.Struct, forbid_unknown_fields=True):
    """All that a header of ours says: no ``crit``, ``jku``, ``jwk`` or ``x5u``."""

    alg: Literal["HS256"]
    kid: str
    typ: Literal["JWT"]


class AccessPayload(msgspec.Struct):
    """The claims an access token must have, each with its type.

    All required but ``app``, which saves looking for the session's.
    """

    iss: str
    aud: str
    sub: Id
    jti: TokenId
    iat: Seconds
    nbf: Seconds
    exp: Seconds
    type: Literal["access"]
    sid: Id
    ep: Count
    app: AppId | msgspec.UnsetType = msgspec.UNSET


def read_token(token: str) -> tuple[Header, AccessPayload]:
    """Return header and claims of ``token``.

    Raises `InvalidInput`, ValueError or msgspec.ValidationError for what is spelled
    in another way than ours: repeated members, odd types, padding, spare bits.
    """
    header, payload, signature = token.split(".")
    decode_part(signature)
    return (
        msgspec.convert(parse_object(decode_part(header), MAX_DEPTH), Header),
        msgspec.convert(parse_object(decode_part(payload), MAX_DEPTH), AccessPayload),
    )


def decode_part(part: str) -> bytes:
    """Return the bytes of one part; ValueError unless it is their only spelling."""
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != part.encode():
        raise ValueError("another spelling of the same bytes")
    return raw
