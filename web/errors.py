"""Reasons and their HTTP statuses: the only place in the house that knows both.

The table is the contract of `docs/errors`; `web/answers.py` renders it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from werkzeug.datastructures import LanguageAccept
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_accept_header

from models.errors import FieldFault, InvalidInput, KuaidaError


class Problem(NamedTuple):
    """How one reason is told: status, code, what the client does now, words."""

    status: int
    code: int
    action: str
    zh: str
    en: str


PROBLEMS: Final[dict[str, Problem]] = {
    "invalid_json": Problem(
        400, 40001, "none", "请求体不是合法的 JSON", "The body is not valid JSON"
    ),
    "validation_failed": Problem(
        400, 40002, "none", "请求参数不正确", "The request breaks a rule of its shape"
    ),
    "unknown_field": Problem(
        400, 40003, "none", "请求包含未知字段", "The request has an unknown field"
    ),
    "login_code_invalid": Problem(
        400, 40010, "relogin", "登录凭证无效, 请重新登录", "The login code is not valid"
    ),
    "token_missing": Problem(401, 401, "relogin", "请先登录", "Log in first"),
    "token_invalid": Problem(
        401, 401, "relogin", "登录状态无效, 请重新登录", "The token is not valid"
    ),
    "token_expired": Problem(
        401, 401, "refresh", "登录状态已过期", "The token has expired"
    ),
    "session_revoked": Problem(
        401, 401, "relogin", "登录已失效, 请重新登录", "The session has ended"
    ),
    "refresh_reused": Problem(
        401,
        401,
        "relogin",
        "登录已失效, 请重新登录",
        "The refresh token was used before",
    ),
    "forbidden": Problem(403, 40301, "none", "没有权限", "You may not do this"),
    "user_banned": Problem(403, 40302, "none", "账号已被封禁", "The account is banned"),
    "high_risk_user": Problem(
        403,
        40303,
        "none",
        "账号存在风险",
        "This account is refused as risky",
    ),
    "verification_required": Problem(
        403,
        40304,
        "bind_phone",
        "请先绑定手机号",
        "Bind a phone number before you go on",
    ),
    "not_found": Problem(404, 40401, "none", "内容不存在", "There is nothing here"),
    "method_not_allowed": Problem(
        405, 40501, "none", "不支持该请求方法", "This method is not allowed here"
    ),
    "request_timeout": Problem(
        408, 40801, "retry", "请求体接收超时", "The body did not arrive in time"
    ),
    "conflict": Problem(
        409, 40901, "none", "与当前数据冲突", "This contradicts the present state"
    ),
    "state_forbids": Problem(
        409, 40902, "none", "当前状态不允许该操作", "The present state forbids this"
    ),
    "cursor_expired": Problem(
        409, 40903, "resync", "游标已过期, 请重新同步", "The cursor is too old"
    ),
    "session_key_stale": Problem(
        409, 40904, "relogin", "会话密钥已过期, 请重新登录", "The session key is stale"
    ),
    "out_of_stock": Problem(409, 40905, "none", "库存不足", "Out of stock"),
    "body_too_large": Problem(
        413, 41301, "none", "请求体过大", "The body is too large"
    ),
    "unsupported_media_type": Problem(
        415,
        41501,
        "none",
        "请求体必须是未压缩的 JSON",
        "The body must be application/json, not compressed",
    ),
    "idempotency_key_reused": Problem(
        422, 42201, "none", "幂等键已用于其他请求", "This key was used for another body"
    ),
    "decrypt_failed": Problem(
        422, 42202, "none", "数据解密失败", "The data cannot be decrypted"
    ),
    "watermark_mismatch": Problem(
        422, 42203, "none", "数据水印不匹配", "The watermark does not match"
    ),
    "signature_mismatch": Problem(
        422, 42204, "none", "数据签名不匹配", "The signature does not match"
    ),
    "rate_limited": Problem(
        429, 42901, "wait", "操作过于频繁, 请稍后再试", "Too many requests"
    ),
    "locked_out": Problem(
        429, 42902, "wait", "失败次数过多, 请稍后再试", "Locked after too many failures"
    ),
    "internal": Problem(
        500, 50001, "retry", "服务器开小差了, 请重试", "Something broke on our side"
    ),
    "wechat_failed": Problem(
        502, 50201, "retry", "微信服务异常, 请重试", "WeChat gave no usable answer"
    ),
    "unavailable": Problem(
        503, 50301, "wait", "服务暂不可用, 请稍后再试", "A part we need is away"
    ),
    "wechat_unavailable": Problem(
        503, 50302, "wait", "微信服务暂不可用, 请稍后再试", "WeChat is away"
    ),
    "overloaded": Problem(
        503, 50303, "wait", "服务繁忙, 请稍后再试", "Too much work at the moment"
    ),
    "wechat_timeout": Problem(
        504, 50401, "retry", "微信响应超时, 请重试", "WeChat did not answer in time"
    ),
}

# Words for the reasons of single fields; English comes with the fault itself.
FIELD_TEXTS_ZH: Final[dict[str, str]] = {
    "missing": "缺少必填字段",
    "unknown_field": "未知字段",
    "wrong_type": "类型不正确",
    "out_of_range": "取值超出范围",
    "invalid": "格式不正确",
    "repeated": "参数重复",
    "unknown_app": "没有这个应用",
    "unknown_template": "没有这个消息模板",
}

_BY_STATUS: Final[dict[int, str]] = {
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}
_CLIENT_ERRORS: Final = range(400, 500)
# What an Idempotency-Key keeps: refusals that say how things are. Of these, three are
# no answer to the request itself: log in again first; data that did not open, because
# nobody may have been able to say whether its key was to blame; and take another key.
_FINAL_STATUSES: Final = frozenset({404, 409, 422})
_NOT_FINAL: Final = frozenset(
    {"session_key_stale", "decrypt_failed", "idempotency_key_reused"}
)
DEFAULT_LANGUAGE: Final = "zh"
LANGUAGES: Final = frozenset({"zh", "en"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """One error, ready to be told: its reason, the wait and the rejected fields.

    ``data`` is for answers that explain themselves, such as readiness.
    """

    reason: str
    retry_after_ms: int | None = None
    faults: tuple[FieldFault, ...] = ()
    data: object = None

    @property
    def problem(self) -> Problem:
        """The row of the table."""
        return PROBLEMS[self.reason]


def refusal_of(error: BaseException) -> Refusal:
    """Return how ``error`` is told to a client; unknown errors are ``internal``."""
    if isinstance(error, KuaidaError) and error.reason in PROBLEMS:
        faults = error.faults if isinstance(error, InvalidInput) else ()
        return Refusal(error.reason, error.retry_after_ms, faults)
    if isinstance(error, HTTPException) and error.code is not None:
        fallback = "validation_failed" if error.code in _CLIENT_ERRORS else "internal"
        return Refusal(_BY_STATUS.get(error.code, fallback))
    return Refusal("internal")


def is_final(reason: str) -> bool:
    """Whether a refusal is the answer to its request, to be repeated as it is."""
    problem = PROBLEMS.get(reason)
    final = problem is not None and problem.status in _FINAL_STATUSES
    return final and reason not in _NOT_FINAL


def language_of(accept_language: str) -> str:
    """Return ``zh`` or ``en``, as an Accept-Language header prefers; zh by default."""
    for tag, quality in parse_accept_header(accept_language, LanguageAccept):
        primary = tag.partition("-")[0].lower()
        if quality > 0 and primary in LANGUAGES:
            return primary
    return DEFAULT_LANGUAGE


def localised(faults: tuple[FieldFault, ...], language: str) -> list[FieldFault]:
    """Return ``faults`` with their words in ``language``."""
    if language != "zh":
        return list(faults)
    return [
        replace(fault, msg=FIELD_TEXTS_ZH.get(fault.reason, fault.msg))
        for fault in faults
    ]
