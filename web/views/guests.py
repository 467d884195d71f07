"""Guests: a session without WeChat."""

from __future__ import annotations

import msgspec

from web.fields import AppName
from web.routes import Auth, Call, Limit, Routes, Spec
from web.services.login_answer import LoginAnswer
from web.views.auth import DeviceBody, LoginData, device_of

ROUTES = Routes("guests")


class GuestBody(msgspec.Struct, forbid_unknown_fields=True):
    """``app_id`` may be left out with one app."""

    device: DeviceBody | None = None
    app_id: AppName | None = None


@ROUTES.post(
    "/auth/guest",
    Spec(
        summary="Begin as a guest",
        description=(
            "Works without WeChat. A guest may do what users do; sent as `guest_token` "
            "with a login, its access token makes the guest that person's account. A "
            "guest nothing is heard of for GUEST_DAYS is removed."
        ),
        body=GuestBody,
        may_omit_body=True,
        answer=LoginData,
        auth=Auth.PUBLIC,
        limit=Limit.SERVICE,
        repeated=(
            "A repetition gives another guest, and the one nobody uses is removed: "
            "keys belong to users, and a key is no secret for which tokens may be "
            "handed out again."
        ),
        reasons=("rate_limited", "unavailable"),
    ),
)
def enter(call: Call, body: GuestBody) -> LoginAnswer:
    """Open a session of a new guest."""
    device = device_of(body.device)
    answer = call.services.guests.enter(body.app_id, device, call.caller)
    call.visit.user_id, call.visit.app_id = answer.user_id, answer.app_id
    return answer
