"""Login, refresh and logout."""

from __future__ import annotations

from typing import Literal

import msgspec

from models.device_info import DeviceInfo
from models.users import Profile
from web.fields import AppName, DeviceName, LoginCode, ShortText, Text, TokenText
from web.routes import Auth, Call, Limit, Routes, Spec
from web.services.login_answer import LoginAnswer
from web.services.login_attempt import LoginRequest
from web.services.session_end import Revoked
from web.services.tokens import Tokens

ROUTES = Routes("auth")


class DeviceBody(msgspec.Struct, forbid_unknown_fields=True):
    """What the mini-program knows of its device; ``id`` is made by the client once."""

    id: DeviceName
    model: Text | None = None
    platform: ShortText | None = None
    system: Text | None = None
    wechat_version: ShortText | None = None


class LoginBody(msgspec.Struct, forbid_unknown_fields=True):
    """``code`` comes from `wx.login`; ``app_id`` may be left out with one app."""

    code: LoginCode
    app_id: AppName | None = None
    device: DeviceBody | None = None
    guest_token: TokenText | None = None


class RefreshBody(msgspec.Struct, forbid_unknown_fields=True):
    """The refresh token last received."""

    refresh_token: TokenText


class LogoutBody(msgspec.Struct, forbid_unknown_fields=True):
    """Which sessions end: this one, all others, or all."""

    scope: Literal["this", "others", "all"] = "this"


class EnrichmentData(msgspec.Struct):
    """How far the background part of the login is."""

    state: Literal["pending", "done"]


class LoginData(msgspec.Struct):
    """Tokens (lives in seconds), the user as far as known; ``is_new`` is a hint."""

    access_token: str
    token_type: str
    expires_in: int
    refresh_in: int
    refresh_token: str
    refresh_expires_in: int
    session_id: str
    app_id: str
    user_id: str
    user: Profile
    enrichment: EnrichmentData
    is_new: bool | None


@ROUTES.post(
    "/auth/login",
    Spec(
        summary="Log in with a WeChat code",
        description=(
            "The same code sent again gives the same session. With the access token "
            "of a guest as `guest_token` the guest becomes the person's account, or is "
            "linked to the one there is. A token that is refused (401) costs no code; "
            "that of a guest that has logged in already changes nothing."
        ),
        body=LoginBody,
        answer=LoginData,
        auth=Auth.PUBLIC,
        limit=Limit.SERVICE,
        repeated="The code is the key: sent again it gives the same session.",
        reasons=(
            "login_code_invalid",
            "token_invalid",
            "token_expired",
            "session_revoked",
            "high_risk_user",
            "user_banned",
            "rate_limited",
            "locked_out",
            "wechat_failed",
            "wechat_timeout",
            "wechat_unavailable",
            "unavailable",
        ),
    ),
)
def login(call: Call, body: LoginBody) -> LoginAnswer:
    """Exchange a code for tokens."""
    guest = None if body.guest_token is None else call.read_token(body.guest_token)
    request = LoginRequest(body.code, body.app_id, device_of(body.device), guest)
    answer = call.services.login.login(request, call.caller)
    call.visit.user_id, call.visit.app_id = answer.user_id, answer.app_id
    return answer


@ROUTES.post(
    "/auth/refresh",
    Spec(
        summary="Exchange a refresh token",
        body=RefreshBody,
        answer=Tokens,
        auth=Auth.PUBLIC,
        limit=Limit.WRITE,
        repeated="The refresh token is the key: inside its grace it has one successor.",
        reasons=(
            "token_invalid",
            "token_expired",
            "session_revoked",
            "high_risk_user",
            "user_banned",
            "refresh_reused",
            "unavailable",
        ),
    ),
)
def refresh(call: Call, body: RefreshBody) -> Tokens:
    """Rotate the refresh token; inside the grace all callers get the same successor."""
    return call.services.sessions.refresh(body.refresh_token, call.caller)


@ROUTES.post(
    "/auth/logout",
    Spec(
        summary="End sessions",
        description=(
            "Of sessions that end each other at once one wins, the others get 401. "
            "After the end of its own session a repetition gets 401 as well, unless "
            "token, body and Idempotency-Key are the same: then the kept answer."
        ),
        body=LogoutBody,
        answer=Revoked,
        limit=Limit.WRITE,
        idempotent=True,
        may_end_itself=True,
        # Leaving harms nobody.
        unverified=True,
        reasons=("unavailable",),
    ),
)
def logout(call: Call, body: LogoutBody) -> Revoked:
    """End the sessions the scope names."""
    return call.services.sessions.logout(call.claims, body.scope, call.once)


def device_of(body: DeviceBody | None) -> DeviceInfo | None:
    """Return what was said of a device, as the journals keep it: no empty words."""
    if body is None:
        return None
    said = msgspec.structs.asdict(body)
    return DeviceInfo(**{name: word for name, word in said.items() if word})
