"""What the phone's WeChat hands a mini-program: encrypted and signed open data."""

from __future__ import annotations

import base64
from typing import Any, Final

import orjson

from wechat.crypto import seal_open_data, sign_raw_data
from wechat.simulator.session_api import phone_info
from wechat.simulator.state import SimState, SimUser

KINDS: Final = ("user_info", "phone", "werun", "group")
_DAYS_OF_STEPS = 31
_DAY_S = 86_400


def encrypted(
    state: SimState, user: SimUser, kind: str, overrides: dict[str, Any]
) -> dict[str, str]:
    """Return open data of ``kind`` under the user's present session_key.

    ``overrides`` replaces top-level fields, the watermark too; a null removes one.
    The user must have a session_key.
    """
    key = user.session_key or ""
    plain = {**_plain(state, user, kind), **overrides}
    plain = {name: value for name, value in plain.items() if value is not None}
    raw_data = orjson.dumps(_profile(user)).decode()
    iv = state.rng.randbytes(16)
    return {
        "encrypted_data": seal_open_data(orjson.dumps(plain), session_key=key, iv=iv),
        "iv": base64.b64encode(iv).decode("ascii"),
        "raw_data": raw_data,
        "signature": sign_raw_data(raw_data, key),
    }


def _plain(state: SimState, user: SimUser, kind: str) -> dict[str, Any]:
    now_s = state.now() // 1000
    watermark = {"timestamp": now_s, "appid": user.app_id}
    if kind == "phone":
        return phone_info(user, state.now())
    if kind == "werun":
        return {"stepInfoList": _steps(now_s), "watermark": watermark}
    if kind == "group":
        return {"opengid": f"tG{user.openid}", "chat_type": 3, "watermark": watermark}
    found = {"openId": user.openid, **_profile(user), "watermark": watermark}
    if user.unionid:
        found["unionId"] = user.unionid
    return found


def _steps(now_s: int) -> list[dict[str, int]]:
    first = now_s - now_s % _DAY_S
    return [
        {"timestamp": first - day * _DAY_S, "step": 4000 + 37 * day}
        for day in range(_DAYS_OF_STEPS)
    ]


def _profile(user: SimUser) -> dict[str, Any]:
    # Gender and places are empty since 2021.
    places = {"city": "", "province": "", "country": ""}
    return {
        "nickName": user.nickname,
        "gender": 0,
        "language": "zh_CN",
        **places,
        "avatarUrl": "https://thirdwx.qlogo.cn/mmopen/vi_32/grey/132",
    }
