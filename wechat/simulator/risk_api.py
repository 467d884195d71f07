"""WeChat's opinion of a user in the simulator: the rank that ``/_sim/users`` gave."""

from __future__ import annotations

import re
from typing import Any, Final

from wechat.simulator.state import SimState
from wechat.simulator.wire import Refused, Request, json_body, text_field

SCENES: Final = (0, 1, 2)
# Who has not opened the mini-program for so long is not judged.
ACTIVE_MS: Final = 2 * 3600 * 1000
RANKS_A_MINUTE: Final = 3000
_ADDRESS: Final = re.compile(r"[0-9a-fA-F.:]{2,45}")


def risk_rank(state: SimState, request: Request, app_id: str) -> dict[str, Any]:
    """POST /wxa/getuserriskrank: the rank of a user who was here lately."""
    body = json_body(request)
    if text_field(body, "appid", 47001) != app_id:
        raise Refused(40013, "invalid appid")
    if body.get("scene") not in SCENES:
        raise Refused(40129, "invalid scene")
    if not _ADDRESS.fullmatch(text_field(body, "client_ip", 47001)):
        raise Refused(40097, "invalid client_ip")
    user = state.users.get(text_field(body, "openid", 40003))
    if user is None or user.app_id != app_id:
        raise Refused(43104, "openid does not belong to appid")
    if state.now() - user.opened_ms > ACTIVE_MS:
        raise Refused(61010, "code is expired")
    if state.minute.hit("risk", state.now()) > RANKS_A_MINUTE:
        raise Refused(61081, "frequency limit")
    # The misspelt name is WeChat's own.
    return {
        "errmsg": "getuserriskrank succ",
        "risk_rank": user.risk_rank,
        "unoin_id": state.number(),
    }
