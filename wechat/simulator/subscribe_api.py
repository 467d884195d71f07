"""Subscribe messages in the simulator: templates, the grant ledger, sending, events."""

from __future__ import annotations

import re
from typing import Any, Final

from config.notification_templates import TEMPLATES
from wechat.simulator.state import PushEvent, SimRules, SimState, SimUser
from wechat.simulator.values import check_values
from wechat.simulator.wire import Refused, Request, json_body, text_field

ONE_TIME: Final = 2
SENDS_A_DAY: Final = 10_000_000
_STATES = ("developer", "trial", "formal")
_LANGUAGES = ("zh_CN", "en_US", "zh_HK", "zh_TW")
_PAGE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_/.-]*(?:\?[^\s]*)?")
_BY_ID: Final = {template.template_id: template for template in TEMPLATES.values()}


def template_fields(template_id: str) -> tuple[str, ...] | None:
    """Return the field names of a template, or None when there is no such one."""
    template = _BY_ID.get(template_id)
    return tuple(field.name for field in template.fields) if template else None


def list_templates(_state: SimState, _request: Request, _app_id: str) -> dict[str, Any]:
    """GET /wxaapi/newtmpl/gettemplate: the private templates of the app."""
    rows = [
        {
            "priTmplId": template.template_id,
            "title": template.title,
            "content": "".join(
                f"{f.meaning}:{{{{{f.name}.DATA}}}}\n" for f in template.fields
            ),
            "example": "",
            "type": ONE_TIME,
        }
        for template in TEMPLATES.values()
    ]
    return {"data": rows}


def send(state: SimState, request: Request, app_id: str) -> dict[str, Any]:
    """POST /cgi-bin/message/subscribe/send: spend a grant, promise an event."""
    body = json_body(request, escapes=not state.rules.refuse_escapes)
    if state.day.hit(f"send {app_id}", state.now()) > SENDS_A_DAY:
        raise Refused(45009, "reach max api daily quota limit")
    user = state.users.get(text_field(body, "touser", 40003))
    if user is None or user.app_id != app_id:
        raise Refused(40003, "invalid openid")
    if state.sending[user.openid] > 1:
        raise Refused(43108, "concurrent send to the same user")
    template_id = text_field(body, "template_id", 40037)
    fields = template_fields(template_id)
    if fields is None:
        raise Refused(40037, "invalid template_id")
    check_values(body.get("data"), fields)
    _check_options(body, state.rules)
    _spend(user, template_id)
    message_id = state.message_id()
    _promise_event(state, user, template_id, message_id)
    return {"msgid": message_id}


def _check_options(body: dict[str, Any], rules: SimRules) -> None:
    if body.get("miniprogram_state", "formal") not in _STATES:
        raise Refused(40097, "invalid miniprogram_state")
    if body.get("lang", "zh_CN") not in _LANGUAGES:
        raise Refused(40097, "invalid lang")
    page = body.get("page")
    if page is None or page == "":
        return
    if not isinstance(page, str) or not _PAGE.fullmatch(page):
        raise Refused(41030, "invalid page")
    if rules.pages is not None and page.partition("?")[0] not in rules.pages:
        raise Refused(41030, "page is not in the released version")


def _spend(user: SimUser, template_id: str) -> None:
    if template_id in user.long_term:
        return
    if user.grants.get(template_id, 0) <= 0:
        raise Refused(43101, "user refuse to accept the msg")
    user.grants[template_id] -= 1


def _promise_event(
    state: SimState, user: SimUser, template_id: str, message_id: int
) -> None:
    entry = {
        "TemplateId": template_id,
        "MsgID": str(message_id),
        "ErrorCode": "0",
        "ErrorStatus": "success",
    }
    message = event(state, user, "subscribe_msg_sent_event", entry)
    delay = state.rules.event_delay_ms
    state.events.append(PushEvent(user.app_id, user.openid, message, delay))


def answer_popup(
    state: SimState, user: SimUser, template_id: str, result: str, *, settings: bool
) -> None:
    """Record the user's choice and push its event, as the phone's WeChat would.

    ``settings`` is the switch in the settings page: a reject there ends every grant.
    A banned template shows no popup and makes no event.
    """
    if result == "accept":
        user.grants[template_id] = user.grants.get(template_id, 0) + 1
    elif settings:
        user.grants.pop(template_id, None)
        user.long_term.discard(template_id)
    if result == "ban":
        return
    kind = "subscribe_msg_change_event" if settings else "subscribe_msg_popup_event"
    entry = {"TemplateId": template_id, "SubscribeStatusString": result}
    if not settings:
        entry["PopupScene"] = "0"
    message = event(state, user, kind, entry)
    state.events.append(PushEvent(user.app_id, user.openid, message, 0))


def event(
    state: SimState, user: SimUser, kind: str, entry: dict[str, str]
) -> dict[str, Any]:
    """Return a push message; a single list entry is a bare object, as WeChat has it."""
    return {
        "ToUserName": f"gh_{user.app_id[-12:]}",
        "FromUserName": user.openid,
        "CreateTime": state.now() // 1000,
        "MsgType": "event",
        "Event": kind,
        "List": entry,
    }
