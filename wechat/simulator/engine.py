"""The simulated WeChat itself: routes a request, applies faults, makes the reply.

`server` puts it on a port and `transport` into a test; both call ``begin``, wait the
fault's delay, then ``finish``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

import orjson

from config.clock import now_ms
from wechat.simulator import risk_api, session_api, subscribe_api, token_api
from wechat.simulator.faults import Fault
from wechat.simulator.state import Delivery, SimState
from wechat.simulator.tokens import check_token
from wechat.simulator.wire import (
    HTML_TYPE,
    JSON_TYPE,
    TEXT_TYPE,
    Refused,
    Reply,
    Request,
    json_reply,
)

LOGIN: Final = "/sns/jscode2session"
SEND: Final = "/cgi-bin/message/subscribe/send"

Open = Callable[[SimState, Request], dict[str, Any]]
Guarded = Callable[[SimState, Request, str], dict[str, Any]]

_WITH_SECRET: Final[dict[str, Open]] = {
    LOGIN: session_api.code2session,
    "/cgi-bin/token": token_api.classic_token,
    "/cgi-bin/stable_token": token_api.stable_token,
}
_WITH_TOKEN: Final[dict[str, Guarded]] = {
    "/wxa/checksession": lambda s, r, _app: session_api.check_session(s, r),
    "/wxa/resetusersessionkey": lambda s, r, _app: session_api.reset_session(s, r),
    "/wxa/business/getuserphonenumber": session_api.phone_number,
    "/wxa/getuserriskrank": risk_api.risk_rank,
    SEND: subscribe_api.send,
    "/wxaapi/newtmpl/gettemplate": subscribe_api.list_templates,
}
_NOT_FOUND = Reply(404, b"<html><body>404 Not Found</body></html>", HTML_TYPE)
_BROKEN = Reply(500, b"<html><body>502 Bad Gateway</body></html>", HTML_TYPE)
_HALF = Reply(200, b'{"errcode":0,"errmsg":"o', TEXT_TYPE)


class Call(NamedTuple):
    """A call that has arrived: its fault and its line in the arrivals log."""

    request: Request
    fault: Fault | None
    delivery: Delivery | None

    @property
    def delay_s(self) -> float:
        """Seconds to wait before the call takes effect."""
        return self.fault.delay_ms / 1000 if self.fault else 0.0


class Outcome(NamedTuple):
    """What the caller is to see: a reply, a cut connection, or silence."""

    reply: Reply | None
    end: Literal["answer", "reset", "stall"] = "answer"


_WITHOUT_EFFECT: Final = {
    "reset": Outcome(None, "reset"),
    "stall": Outcome(None, "stall"),
    "half_json": Outcome(_HALF),
    "http500": Outcome(_BROKEN),
}
_AFTER_EFFECT: Final = {
    "accept_then_reset": Outcome(None, "reset"),
    "accept_then_stall": Outcome(None, "stall"),
}


def begin(state: SimState, request: Request) -> Call:
    """Count an arrived call, log it when it is a message, choose its fault."""
    path = request.path
    state.calls[path] += 1
    delivery = _arrived(state, request) if path == SEND else None
    return Call(request, state.faults.pick(path), delivery)


def finish(state: SimState, call: Call) -> Outcome:
    """Let the call take effect, unless its fault forbids, and say what is seen."""
    try:
        return _finish(state, call)
    finally:
        if call.delivery is not None:
            _left(state, call.delivery.openid)


def _finish(state: SimState, call: Call) -> Outcome:
    mode = call.fault.mode if call.fault else "delay"
    if mode in _WITHOUT_EFFECT:
        return _WITHOUT_EFFECT[mode]
    if mode == "error" and call.fault is not None:
        refused = Refused(call.fault.errcode, "scripted fault")
        _note(call.delivery, refused.errcode, None)
        return Outcome(_refusal(state, refused, call.request.path))
    reply = _run(state, call)
    return _AFTER_EFFECT.get(mode, Outcome(reply))


def _run(state: SimState, call: Call) -> Reply:
    request = call.request
    try:
        found = _dispatch(state, request)
    except Refused as refused:
        _note(call.delivery, refused.errcode, None)
        return _refusal(state, refused, request.path)
    if found is None:
        return _NOT_FOUND
    _note(call.delivery, 0, found.get("msgid"))
    if request.path == LOGIN:
        # Captured answers of this call are labelled as text and have no errcode.
        return json_reply(found, TEXT_TYPE)
    if "access_token" in found:
        return json_reply(found)
    return json_reply({"errcode": 0, "errmsg": "ok", **found})


def _dispatch(state: SimState, request: Request) -> dict[str, Any] | None:
    handler = _WITH_SECRET.get(request.path)
    if handler is not None:
        return handler(state, request)
    guarded = _WITH_TOKEN.get(request.path)
    if guarded is None:
        return None
    token = request.query.get("access_token", "")
    app_id = check_token(state.pools(), token, state.now())
    return guarded(state, request, app_id)


def _refusal(state: SimState, refused: Refused, path: str) -> Reply:
    stamp = f"{state.number():08x}-{state.rng.getrandbits(32):08x}"
    rid = f"rid: {stamp}-{state.rng.getrandbits(32):08x}"
    glue = ", " if path == LOGIN else " "
    text = {"errcode": refused.errcode, "errmsg": f"{refused.errmsg}{glue}{rid}"}
    return json_reply(text, TEXT_TYPE if path == LOGIN else JSON_TYPE)


def _arrived(state: SimState, request: Request) -> Delivery:
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        body = request.body.decode("utf-8", "replace")
    fields = body if isinstance(body, dict) else {}
    openid, template_id = fields.get("touser"), fields.get("template_id")
    delivery = Delivery(now_ms(), str(openid or ""), str(template_id or ""), body)
    state.deliveries.append(delivery)
    state.sending[delivery.openid] += 1
    return delivery


def _left(state: SimState, openid: str) -> None:
    state.sending[openid] -= 1
    if state.sending[openid] <= 0:
        del state.sending[openid]


def _note(delivery: Delivery | None, errcode: int, msgid: int | None) -> None:
    if delivery is not None:
        delivery.outcome = "refused" if errcode else "delivered"
        delivery.errcode = errcode
        delivery.msgid = msgid
