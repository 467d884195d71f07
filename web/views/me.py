"""The caller's own profile."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from models.users import Profile
from web.fields import FilledText, HttpsUrl, Text
from web.routes import Call, Limit, Routes, Spec

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
