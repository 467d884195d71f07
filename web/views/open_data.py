"""What WeChat's client encrypted for the caller."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from web.fields import SealedPart, SealedText
from web.routes import Call, Limit, Routes, Spec
from web.services.open_data import Signed
from wechat.open_data import SealedData

ROUTES = Routes("open_data")
PLAIN_FORM = ("encrypted_data", "iv")
SIGNED_FORM = (*PLAIN_FORM, "raw_data", "signature")


class DecryptBody(msgspec.Struct, forbid_unknown_fields=True):
    """What `wx.getUserInfo`, `wx.getWeRunData`, … gave; base64 is read leniently.

    ``raw_data`` is the exact text that came with ``signature``: both or neither.
    """

    encrypted_data: SealedText
    iv: SealedPart
    raw_data: SealedText | UnsetType = UNSET
    signature: SealedPart | UnsetType = UNSET


class OpenedData(msgspec.Struct, rename="camel"):
    """The object that was inside, with all its fields as WeChat names them.

    Shown are the commonest. openId, unionId and phone numbers are masked.
    """

    open_id: str | UnsetType = UNSET
    union_id: str | UnsetType = UNSET
    nick_name: Any | UnsetType = UNSET
    avatar_url: Any | UnsetType = UNSET
    gender: Any | UnsetType = UNSET
    phone_number: str | UnsetType = UNSET
    pure_phone_number: str | UnsetType = UNSET
    country_code: Any | UnsetType = UNSET
    step_info_list: Any | UnsetType = UNSET
    opengid: Any | UnsetType = UNSET
    watermark: Any | UnsetType = UNSET


@ROUTES.post(
    "/me/decrypt",
    Spec(
        summary="Open encrypted data",
        description=(
            "User info, phone, steps or group ids, known by their content. Log in "
            "before the data is made: `session_key_stale` says that its key is old, "
            "everything else that is wrong with it is `decrypt_failed`."
        ),
        body=DecryptBody,
        forms=(PLAIN_FORM, SIGNED_FORM),
        answer=OpenedData,
        limit=Limit.WRITE,
        idempotent=True,
        reasons=(
            "session_key_stale",
            "decrypt_failed",
            "watermark_mismatch",
            "signature_mismatch",
        ),
    ),
)
def decrypt(call: Call, body: DecryptBody) -> dict[str, Any]:
    """Return what is inside, masked."""
    signed = None
    if body.raw_data is not UNSET and body.signature is not UNSET:
        signed = Signed(body.raw_data, body.signature)
    return call.services.open_data.show(
        call.claims,
        SealedData(body.encrypted_data, body.iv),
        signed,
        call.visit.deadline,
    )
