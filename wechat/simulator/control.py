"""The control API of the simulator, ``/_sim``: what a test or a developer can do to it.

Plain JSON without an envelope; wrong input is a 400 that says what was expected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

import orjson

from wechat.simulator import inputs
from wechat.simulator.client_data import KINDS, encrypted
from wechat.simulator.faults import MODES, Fault
from wechat.simulator.inputs import BadInput
from wechat.simulator.state import SimState, SimUser
from wechat.simulator.subscribe_api import answer_popup, template_fields
from wechat.simulator.wire import Reply, Request

PREFIX: Final = "/_sim/"
_OK: Final[dict[str, Any]] = {"ok": True}
_MOST_CODES = 10_000
_LONGEST_TRIP_S = 366 * 86_400

Handler = Callable[[SimState, dict[str, Any]], dict[str, Any]]


def control(state: SimState, request: Request) -> Reply:
    """Run one control call; never raises for wrong input."""
    path = request.path.removeprefix(PREFIX).strip("/")
    known = [method for method, name in _ROUTES if name == path]
    handler = _ROUTES.get((request.method, path))
    if handler is None:
        status, words = (405, "wrong method") if known else (404, "no such control")
        return _error(status, f"{words}: {request.method} {request.path}")
    try:
        given = inputs.parse(request)
        return Reply(200, orjson.dumps(handler(state, given)), b"application/json")
    except BadInput as error:
        return _error(400, str(error))


def _error(status: int, words: str) -> Reply:
    return Reply(status, orjson.dumps({"error": words}), b"application/json")


def _add_user(state: SimState, given: dict[str, Any]) -> dict[str, Any]:
    inputs.only(
        given,
        *("openid", "unionid", "nickname", "phone", "risk_rank"),
        *("session_key", "app_id"),
    )
    app_id = inputs.choice(given, "app_id", tuple(state.apps)) or next(iter(state.apps))
    number = state.number()
    openid = inputs.text(given, "openid", 64) or f"o{number:06d}Sim{'u' * 18}"
    user = state.users.get(openid)
    if user is None or user.app_id != app_id:
        user = SimUser(openid, app_id, phone=f"138{number:08d}")
        state.users[openid] = user
    user.unionid = inputs.text(given, "unionid", 64) or user.unionid
    user.nickname = inputs.text(given, "nickname", 64) or user.nickname
    user.phone = inputs.text(given, "phone", 20) or user.phone
    rank = inputs.number(given, "risk_rank", 4)
    user.risk_rank = user.risk_rank if rank is None else int(rank)
    user.next_session_key = inputs.session_key(given) or user.next_session_key
    return {"openid": user.openid, "unionid": user.unionid, "phone": user.phone}


def _make_codes(state: SimState, given: dict[str, Any]) -> dict[str, Any]:
    inputs.only(given, "openid", "kind", "count", "rotate")
    user = _user(state, given)
    kind = inputs.choice(given, "kind", ("login", "phone")) or "login"
    count = int(inputs.number(given, "count", _MOST_CODES) or 1)
    if given.get("rotate") is True:
        user.session_key = state.new_session_key()
    codes = [
        state.make_code(user, "phone" if kind == "phone" else "login")
        for _ in range(count)
    ]
    found: dict[str, Any] = {"code": codes[0]}
    return {**found, "codes": codes} if "count" in given else found


def _encrypt(state: SimState, given: dict[str, Any]) -> dict[str, Any]:
    inputs.only(given, "openid", "kind", "overrides")
    user = _user(state, given)
    kind = inputs.choice(given, "kind", KINDS) or "user_info"
    overrides = given.get("overrides") or {}
    if not isinstance(overrides, dict):
        message = "overrides must be an object"
        raise BadInput(message)
    if user.session_key is None:
        message = "this user has no session_key yet: log in with a code first"
        raise BadInput(message)
    return dict(encrypted(state, user, kind, overrides))


def _subscribe(state: SimState, given: dict[str, Any]) -> dict[str, Any]:
    inputs.only(given, "openid", "template_id", "result", "long_term", "settings")
    user = _user(state, given)
    template_id = inputs.required(given, "template_id")
    if template_fields(template_id) is None:
        message = f"unknown template_id {template_id!r}"
        raise BadInput(message)
    result = inputs.choice(given, "result", ("accept", "reject", "ban"))
    if result is None:
        message = "result must be accept, reject or ban"
        raise BadInput(message)
    if given.get("long_term") is True and result == "accept":
        user.long_term.add(template_id)
    settings = given.get("settings") is True
    answer_popup(state, user, template_id, result, settings=settings)
    return _OK


def _list_deliveries(state: SimState, given: dict[str, Any]) -> dict[str, Any]:
    inputs.only(given, "openid", "template_id", "since")
    openid, template_id = given.get("openid"), given.get("template_id")
    since = inputs.whole(given, "since") or 0
    items = [
        asdict(item)
        for item in state.deliveries
        if (openid is None or item.openid == openid)
        and (template_id is None or item.template_id == template_id)
        and item.at >= since
    ]
    return {"items": items}


def _add_fault(state: SimState, given: dict[str, Any]) -> dict[str, Any]:
    inputs.only(given, "path", "mode", "errcode", "delay_ms", "times", "every")
    path = inputs.required(given, "path")
    if not path.startswith("/") or path.startswith(PREFIX):
        message = "path must be a WeChat path such as /sns/jscode2session"
        raise BadInput(message)
    mode = inputs.choice(given, "mode", MODES)
    if mode is None:
        message = f"mode must be one of {', '.join(MODES)}"
        raise BadInput(message)
    fault = Fault(f"f{state.number()}", path, mode)  # type: ignore[arg-type]
    errcode = inputs.whole(given, "errcode", least=-1_000_000)
    fault.errcode = -1 if errcode is None else errcode
    fault.delay_ms = inputs.whole(given, "delay_ms") or 0
    fault.times = inputs.whole(given, "times", least=1)
    fault.every = inputs.whole(given, "every", least=1) or 1
    state.faults.add(fault)
    return {"id": fault.fault_id}


def _clear_faults(state: SimState, given: dict[str, Any]) -> dict[str, Any]:
    inputs.only(given, "id")
    state.faults.clear(inputs.text(given, "id", 64))
    return _OK


def _advance(state: SimState, given: dict[str, Any]) -> dict[str, Any]:
    inputs.only(given, "advance_s")
    seconds = inputs.number(given, "advance_s", _LONGEST_TRIP_S)
    if seconds is None:
        message = "advance_s is missing"
        raise BadInput(message)
    state.offset_ms += round(seconds * 1000)
    return _OK


def _show_calls(state: SimState, given: dict[str, Any]) -> dict[str, Any]:
    inputs.only(given)
    return {"calls": dict(state.calls)}


def _set_rules(state: SimState, given: dict[str, Any]) -> dict[str, Any]:
    inputs.set_rules(state.rules, given)
    return _OK


def _reset(state: SimState, given: dict[str, Any]) -> dict[str, Any]:
    inputs.only(given)
    state.reset()
    return _OK


def _user(state: SimState, given: dict[str, Any]) -> SimUser:
    openid = inputs.required(given, "openid")
    user = state.users.get(openid)
    if user is None:
        message = f"unknown openid {openid!r}: make it with POST /_sim/users"
        raise BadInput(message)
    return user


_ROUTES: Final[dict[tuple[str, str], Handler]] = {
    ("POST", "users"): _add_user,
    ("POST", "codes"): _make_codes,
    ("POST", "encrypt"): _encrypt,
    ("POST", "subscribe"): _subscribe,
    ("GET", "deliveries"): _list_deliveries,
    ("POST", "faults"): _add_fault,
    ("DELETE", "faults"): _clear_faults,
    ("POST", "clock"): _advance,
    ("GET", "calls"): _show_calls,
    ("POST", "rules"): _set_rules,
    ("POST", "reset"): _reset,
}
