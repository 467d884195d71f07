"""The caller's phone number."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from web.fields import LoginCode, SealedPart, SealedText
from web.routes import Call, Limit, Routes, Spec
from web.services.phone import BoundPhone
from wechat.open_data import SealedData

ROUTES = Routes("phone")


class PhoneBody(msgspec.Struct, forbid_unknown_fields=True):
    """Either the code of the phone button, or what it encrypted in the old way."""

    code: LoginCode | UnsetType = UNSET
    encrypted_data: SealedText | UnsetType = UNSET
    iv: SealedPart | UnsetType = UNSET


@ROUTES.post(
    "/me/phone",
    Spec(
        summary="Bind my phone number",
        description=(
            "Give the code of the phone button, or its encrypted data. The same number "
            "again changes nothing, another one takes its place. `conflict`: another "
            "account of this app has the number. `login_code_invalid`: let the user "
            "tap the button again. After `wechat_timeout` send the same code again. "
            "`rate_limited` also when the budget for numbers by "
            "code is spent."
        ),
        body=PhoneBody,
        forms=(("code",), ("encrypted_data", "iv")),
        answer=BoundPhone,
        limit=Limit.WRITE,
        idempotent=True,
        # This is what they are asked to do.
        unverified=True,
        reasons=(
            "login_code_invalid",
            "conflict",
            "session_key_stale",
            "decrypt_failed",
            "watermark_mismatch",
            "wechat_failed",
            "wechat_timeout",
            "wechat_unavailable",
            "overloaded",
        ),
    ),
)
def bind_phone(call: Call, body: PhoneBody) -> BoundPhone:
    """Bind the caller's number."""
    phones, claims, deadline = call.services.phones, call.claims, call.visit.deadline
    if body.code is not UNSET:
        return phones.bind_by_code(claims, body.code, deadline, call.once)
    sealed = SealedData(body.encrypted_data or "", body.iv or "")
    return phones.bind_by_data(claims, sealed, deadline, call.once)
