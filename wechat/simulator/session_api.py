"""WeChat's login and session calls in the simulator, and the phone number by code."""

from __future__ import annotations

from typing import Any, Final

from wechat.crypto import session_signature
from wechat.simulator.state import SimCode, SimState, SimUser
from wechat.simulator.wire import Refused, Request, json_body, needed, text_field

RESETS_A_MINUTE: Final = 60_000
_BLOCKED_RANK = 4
_CHINA_CODE = "86"


def code2session(state: SimState, request: Request) -> dict[str, Any]:
    """GET /sns/jscode2session: a login code for openid and session_key."""
    app_id = check_secret(state, request.query)
    if request.query.get("grant_type") != "authorization_code":
        raise Refused(40002, "invalid grant_type")
    code = needed(request, "js_code", 41008)
    user = state.users[_take(state, code, "login", app_id).openid]
    if user.risk_rank >= _BLOCKED_RANK:
        raise Refused(40226, "code blocked")
    _renew_key(state, user)
    found: dict[str, Any] = {"session_key": user.session_key, "openid": user.openid}
    if user.unionid:
        found["unionid"] = user.unionid
    return found


def check_secret(state: SimState, given: dict[str, str]) -> str:
    """Return the app id when appid and secret fit, else refuse."""
    app_id, secret = given.get("appid"), given.get("secret")
    if not app_id:
        raise Refused(41002, "appid missing")
    app = state.apps.get(app_id)
    if app is None:
        raise Refused(40013, "invalid appid")
    if not secret:
        raise Refused(41004, "appsecret missing")
    if secret != app.secret:
        raise Refused(40125, "invalid appsecret")
    return app_id


def _take(state: SimState, code: str, kind: str, app_id: str) -> SimCode:
    found = state.codes.get(code)
    if found is None or found.kind != kind or state.now() >= found.expires_ms:
        raise Refused(40029, "invalid code")
    if found.app_id != app_id:
        # The phone page names this case; for logins it is an unknown code.
        raise Refused(40013 if kind == "phone" else 40029, "invalid code")
    if found.used:
        raise Refused(40163 if kind == "login" else 40029, "code been used")
    if kind == "login":
        hits = state.minute.hit(f"login {found.openid}", state.now())
        if hits > state.rules.logins_per_minute:
            raise Refused(45011, "api minute-quota reach limit")
    found.used = True
    state.users[found.openid].opened_ms = state.now()
    return found


def _renew_key(state: SimState, user: SimUser) -> None:
    now, rules = state.now(), state.rules
    ended = user.session_key is None or now >= user.session_ends_ms
    chosen = user.next_session_key
    if chosen or ended or state.rng.random() < rules.rotate_chance:
        user.session_key = chosen or state.new_session_key()
        user.session_ends_ms = now + rules.session_key_s * 1000
        user.next_session_key = None


def check_session(state: SimState, request: Request) -> dict[str, Any]:
    """GET /wxa/checksession: tell whether this is the user's session_key."""
    _signed_user(state, request)
    return {}


def reset_session(state: SimState, request: Request) -> dict[str, Any]:
    """GET /wxa/resetusersessionkey: a new key that ends when the old one would."""
    if state.minute.hit("reset", state.now()) > RESETS_A_MINUTE:
        raise Refused(45011, "api minute-quota reach limit")
    user = _signed_user(state, request)
    user.session_key = state.new_session_key()
    return {"openid": user.openid, "session_key": user.session_key}


def _signed_user(state: SimState, request: Request) -> SimUser:
    if request.method != "GET":
        raise Refused(43001, "require GET method")
    user = state.users.get(needed(request, "openid", 40097))
    if user is None:
        raise Refused(40003, "invalid openid")
    signature = needed(request, "signature", 40097)
    if request.query.get("sig_method") != "hmac_sha256":
        raise Refused(87008, "invalid sig_method")
    if user.session_key is None or state.now() >= user.session_ends_ms:
        raise Refused(87007, "session_key is not existed or expired")
    if signature.lower() != session_signature(user.session_key):
        raise Refused(87009, "invalid signature")
    return user


def phone_number(state: SimState, request: Request, app_id: str) -> dict[str, Any]:
    """POST /wxa/business/getuserphonenumber: a phone code for the number."""
    body = json_body(request)
    code = text_field(body, "code", 40029)
    found = state.codes.get(code)
    openid = body.get("openid")
    if found is not None and openid is not None and openid != found.openid:
        raise Refused(40003, "openid and code do not match")
    user = state.users[_take(state, code, "phone", app_id).openid]
    return {"phone_info": phone_info(user, state.now())}


def phone_info(user: SimUser, now: int) -> dict[str, Any]:
    """Return the phone object as both ways of asking for it show it."""
    return {
        "phoneNumber": user.phone,
        "purePhoneNumber": user.phone,
        "countryCode": _CHINA_CODE,
        "watermark": {"timestamp": now // 1000, "appid": user.app_id},
    }
