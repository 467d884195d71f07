"""Session keys on the internal listener."""

from __future__ import annotations

from web.ops_guard import ADMIN_PREFIX
from web.routes import Auth, Call, Limit, Routes, Spec
from web.services.key_reset import KeyReset
from web.views.accounts import FINDING, NAMED

ROUTES = Routes("wechat_keys", ADMIN_PREFIX)


@ROUTES.post(
    "/users/<name>/reset-session-key",
    Spec(
        summary="Replace a user's session key",
        description=(
            f"{NAMED} For a key that somebody may have got hold of. The user stays "
            "logged in; data that was encrypted before can no longer be opened. After "
            "a 502 or 504 WeChat may have a new key: ours is forgotten then, and data "
            "is refused as `session_key_stale` until the next login."
        ),
        answer=KeyReset,
        auth=Auth.ADMIN,
        limit=Limit.NONE,
        idempotent=True,
        reasons=(*FINDING, "wechat_failed", "wechat_timeout", "wechat_unavailable"),
    ),
)
def reset_session_key(call: Call, name: str) -> KeyReset:
    """Have WeChat make a new key for the user, and go on with it."""
    keys = call.services.support.keys
    return keys.reset(name, call.visit.deadline, call.once)
