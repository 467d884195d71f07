"""One user on the internal listener: what is known of it, ban, unban, logout."""

from __future__ import annotations

from typing import Final

import msgspec

from models.account_acts import Acted
from models.accounts import Account
from web.fields import Text
from web.ops_guard import ADMIN_PREFIX
from web.routes import Auth, Call, Limit, Routes, Spec

ROUTES = Routes("accounts", ADMIN_PREFIX)
FINDING: Final = ("not_found", "conflict")
NAMED: Final = "A user is named by its id, its support code or its openid."


class ActBody(msgspec.Struct, forbid_unknown_fields=True):
    """Why; it stands in the audit log and among the user's security events."""

    reason: Text = ""


def _act(summary: str, description: str) -> Spec:
    return Spec(
        summary=summary,
        description=f"{NAMED} {description}",
        body=ActBody,
        may_omit_body=True,
        answer=Acted,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
        idempotent=True,
        reasons=FINDING,
    )


@ROUTES.get(
    "/users/<name>",
    Spec(
        summary="See an account",
        description=f"{NAMED} The newest 50 of each kind.",
        answer=Account,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
        reasons=FINDING,
    ),
)
def read_account(call: Call, name: str) -> Account:
    """Return profile, standing, devices, sessions and what happened."""
    return call.services.support.accounts.read(name)


@ROUTES.post(
    "/users/<name>/ban",
    _act("Shut a user out", "Its sessions end at once, its logins are refused."),
)
def ban(call: Call, body: ActBody, name: str) -> Acted:
    """Ban a user and end every session."""
    return call.services.support.accounts.ban(name, body.reason, call.once)


@ROUTES.post(
    "/users/<name>/unban",
    _act("Let a user in again", "The sessions of before stay ended."),
)
def unban(call: Call, body: ActBody, name: str) -> Acted:
    """Lift a ban."""
    return call.services.support.accounts.unban(name, body.reason, call.once)


@ROUTES.post(
    "/users/<name>/logout",
    _act("End all sessions of a user", "Those on no list are void too."),
)
def logout(call: Call, body: ActBody, name: str) -> Acted:
    """Void every session opened so far."""
    return call.services.support.accounts.logout(name, body.reason, call.once)
