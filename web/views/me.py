"""The caller's own profile and phone number."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from models.users import Profile
from web.fields import (
    FilledText,
    HttpsUrl,
    LoginCode,
    SealedPart,
    SealedText,
    Text,
)
from web.routes import Call, Limit, Routes, Spec
from web.services.phone import BoundPhone
from wechat.open_data import SealedData

ROUTES = Routes("me")


class ProfilePatch(msgspec.Struct, forbid_unknown_fields=True):
    """The fields to change; a field that is absent stays as it is, null is refused.

    ``gender`` is WeChat's: 0 unknown, 1 male, 2 female. An empty ``city`` clears it.
    """

    nickname: FilledText | UnsetType = UNSET
    avatar_url: HttpsUrl | UnsetType = UNSET
    gender: Literal[0, 1, 2] | UnsetType = UNSET
    city: Text | UnsetType = UNSET


@ROUTES.get(
    "/me",
    Spec(
        summary="Read my profile",
        description="Right after the first login `profile_state` is `pending`.",
        answer=Profile,
        reasons=("unavailable",),
    ),
)
def read_me(call: Call) -> Profile | msgspec.Raw:
    """Return the caller's profile."""
    return call.services.profiles.get(call.claims)


@ROUTES.patch(
    "/me",
    Spec(
        summary="Change my profile",
        description="Each acknowledged change publishes one `profile.updated` event.",
        body=ProfilePatch,
        answer=Profile,
        limit=Limit.WRITE,
        idempotent=True,
        reasons=("unavailable",),
    ),
)
def change_me(call: Call, body: ProfilePatch) -> Profile:
    """Change the named fields of the caller's profile."""
    changes = {
        name: value
        for name, value in msgspec.structs.asdict(body).items()
        if value is not UNSET
    }
    return call.services.profiles.update(call.claims, changes, call.once)


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
            "tap the button again. `rate_limited` also when the budget for numbers by "
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
