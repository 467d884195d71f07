"""Decisions of the behaviour rules on the internal listener: why, and their end."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from web.fields import FilledText
from web.ops_guard import ADMIN_PREFIX
from web.routes import Auth, Call, Limit, Routes, Spec
from web.services.risk import Choice
from web.services.risk_shapes import RiskChanged, RiskView

ROUTES = Routes("risk", ADMIN_PREFIX)

# A minute to a year: an override is a decision of somebody, who may be wrong or leave.
Seconds = Annotated[int, Meta(ge=60, le=365 * 86_400)]


class ClearBody(msgspec.Struct, forbid_unknown_fields=True):
    """Why the marks are void; the audit log keeps it."""

    reason: FilledText


class OverrideBody(msgspec.Struct, forbid_unknown_fields=True):
    """What is done whatever the rules find, for how long, and why."""

    action: Literal["allow", "slow", "verify", "block"]
    reason: FilledText
    seconds: Seconds = 86_400


@ROUTES.get(
    "/risk/<name>",
    Spec(
        summary="See why the rules treat somebody as they do",
        description="A user (by id, openid or support code), a device, or an address: "
        "marks with their evidence, what they weigh now, buckets as they are in force, "
        "lock-outs and figures; `away` names a store that did not answer.",
        answer=RiskView,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
        reasons=("not_found",),
    ),
)
def read_risk(call: Call, name: str) -> RiskView:
    """Return standing, score, marks and what the limits hold against them."""
    return call.services.support.risk.explain(name)


@ROUTES.post(
    "/risk/<name>/clear",
    Spec(
        summary="Void the marks of a user or device",
        description="Lock-outs are lifted too, also those of an address or of a device "
        "that never got in. What goes on is found again: override to prevent that.",
        body=ClearBody,
        answer=RiskChanged,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
        idempotent=True,
        reasons=("not_found",),
    ),
)
def clear_risk(call: Call, body: ClearBody, name: str) -> RiskChanged:
    """End what the rules, or an earlier override, do to somebody."""
    return call.services.support.risk.clear(name, body.reason, call.once)


@ROUTES.post(
    "/risk/<name>/override",
    Spec(
        summary="Choose an action over the rules",
        description="A device is put on the watch list by slow and taken off it by "
        "allow; other actions of a device are refused (400).",
        body=OverrideBody,
        answer=RiskChanged,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
        idempotent=True,
        reasons=("not_found",),
    ),
)
def override_risk(call: Call, body: OverrideBody, name: str) -> RiskChanged:
    """Have an action hold for a time, whatever is found meanwhile."""
    choice = Choice(body.action, body.seconds, body.reason)
    return call.services.support.risk.override(name, choice, call.once)
