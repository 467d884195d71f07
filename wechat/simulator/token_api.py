"""WeChat's two token calls in the simulator."""

from __future__ import annotations

from typing import Any, Final

from wechat.simulator.session_api import check_secret
from wechat.simulator.state import SimState
from wechat.simulator.wire import Refused, Request, json_body

CLASSIC_A_DAY: Final = 2000
STABLE_A_MINUTE: Final = 10_000
STABLE_A_DAY: Final = 500_000


def classic_token(state: SimState, request: Request) -> dict[str, Any]:
    """GET /cgi-bin/token: a new token at each call."""
    _check_grant(request.query.get("grant_type"))
    app_id = check_secret(state, request.query)
    now = state.now()
    if state.day.hit(f"classic {app_id}", now) > CLASSIC_A_DAY:
        raise Refused(45009, "reach max api daily quota limit")
    return _answer(state.apps[app_id].pools.give_classic(now))


def stable_token(state: SimState, request: Request) -> dict[str, Any]:
    """POST /cgi-bin/stable_token: the living token, or a new one when forced."""
    body = json_body(request)
    _check_grant(body.get("grant_type"))
    given = {k: v for k, v in body.items() if isinstance(v, str)}
    app_id = check_secret(state, given)
    now = state.now()
    if state.minute.hit(f"stable {app_id}", now) > STABLE_A_MINUTE:
        raise Refused(45011, "api minute-quota reach limit")
    if state.day.hit(f"stable {app_id}", now) > STABLE_A_DAY:
        raise Refused(45009, "reach max api daily quota limit")
    pools = state.apps[app_id].pools
    if body.get("force_refresh") is True:
        return _answer(pools.force_stable(now))
    return _answer(pools.give_stable(now))


def _check_grant(grant_type: object) -> None:
    if grant_type != "client_credential":
        raise Refused(40002, "invalid grant_type")


def _answer(given: tuple[str, int]) -> dict[str, Any]:
    token, expires_in = given
    return {"access_token": token, "expires_in": expires_in}
