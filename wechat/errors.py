"""What can go wrong when WeChat is called, and the errcode table as data.

Nothing here knows HTTP of ours: `web` and `tasks` translate these errors.

WeChatError                     path, errcode, retry class, `sent`
+-- WeChatTimeout               no whole answer before the deadline
+-- WeChatUnreachable           no connection, or it broke
|   +-- PoolExhausted           every pooled connection was busy for too long
+-- WeChatLied                  an answer of the wrong shape, size or HTTP status
+-- PathClosed                  not asked at all
|   +-- BreakerOpen             this path failed too often
|   +-- PathFull                too many calls of this path are in flight
+-- WeChatRefused               a well-formed answer with an errcode (any unknown one)
    +-- WeChatBusy              -1, 61080
    +-- CodeInvalid             40029, 40163
    +-- SessionKeyStale         87007, 87008, 87009
    +-- HighRisk                40226
    +-- TokenStale              40001, 40014, 42001
    +-- SameMoment              43108
    +-- RateMinute              45011, 44990, 44991
    +-- RateDay                 45009, 44993
    +-- UserState               43101, 61010, 40003, ...
    +-- ConfigError             40013, 40125, 40164, ...
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Retry(StrEnum):
    """What a repeat of the refused call could achieve."""

    TRANSIENT = "transient"
    RATE_MINUTE = "rate_minute"
    RATE_DAY = "rate_day"
    TOKEN = "token"  # noqa: S105 -- a class name, not a credential
    RELOGIN = "relogin"
    USER_STATE = "user_state"
    CONFIG = "config"


class WeChatError(Exception):
    """Base of all; ``path`` never carries a query string, since secrets ride there.

    ``sent`` tells whether WeChat may have acted on the call: it is False only when
    not one byte of the request left us.
    """

    retry: Retry = Retry.TRANSIENT
    label = "error"

    def __init__(self, path: str, detail: str = "", *, sent: bool = True) -> None:
        super().__init__(f"{path}: {detail}" if detail else path)
        self.path = path
        self.detail = detail
        self.sent = sent
        self.errcode: int | None = None


class WeChatTimeout(WeChatError):
    """The deadline passed before the whole answer was here."""

    label = "timeout"


class WeChatUnreachable(WeChatError):
    """The connection could not be made, or broke before the whole answer was here."""

    label = "unreachable"


class PoolExhausted(WeChatUnreachable):
    """No pooled connection came free in time; nothing was sent."""

    label = "pool"


class WeChatLied(WeChatError):
    """The answer was not what the documents promise: status, size, JSON or fields."""

    label = "lied"


class PathClosed(WeChatError):
    """This path is not asked at the moment; ask again after ``retry_after_ms``."""

    def __init__(self, path: str, detail: str, retry_after_ms: int) -> None:
        super().__init__(path, detail, sent=False)
        self.retry_after_ms = retry_after_ms


class BreakerOpen(PathClosed):
    """The path failed too often just now."""

    label = "breaker"

    def __init__(self, path: str, retry_after_ms: int) -> None:
        super().__init__(path, "breaker open", retry_after_ms)


class PathFull(PathClosed):
    """As many calls of this path as its bulkhead allows are in flight already."""

    label = "full"

    def __init__(self, path: str, wait_s: float) -> None:
        super().__init__(path, "bulkhead full", max(1, round(wait_s * 1000)))


class WeChatRefused(WeChatError):
    """WeChat answered with an errcode; a code not in the table raises this class."""

    retry = Retry.CONFIG

    def __init__(self, path: str, errcode: int, errmsg: str = "") -> None:
        super().__init__(path, f"{errcode} {errmsg}".rstrip())
        self.errcode: int = errcode
        self.errmsg = errmsg
        self.label = str(errcode) if errcode in ERRCODES else "other"


class WeChatBusy(WeChatRefused):
    """-1, 61080: WeChat says it did nothing and may be asked again."""

    retry = Retry.TRANSIENT


class CodeInvalid(WeChatRefused):
    """The login or phone code is unknown, expired or used: a new one is needed."""

    retry = Retry.RELOGIN

    @property
    def used(self) -> bool:
        """Whether WeChat knows the code: it was good, and has been exchanged."""
        return self.errcode == CODE_USED


class SessionKeyStale(WeChatRefused):
    """The session_key is missing, replaced or expired: the user must log in again."""

    retry = Retry.RELOGIN


class HighRisk(WeChatRefused):
    """WeChat blocks this user's login; asking again does not help."""

    retry = Retry.USER_STATE


class TokenStale(WeChatRefused):
    """The access_token was refused before the call ran, so a repeat is safe.

    ``healed`` tells that another token is at hand: the repeat may follow at once.
    """

    retry = Retry.TOKEN
    healed = False


class SameMoment(WeChatRefused):
    """Another message to this user is just being sent; a moment later it may go."""

    retry = Retry.TRANSIENT


class RateMinute(WeChatRefused):
    """A short window's quota is used up."""

    retry = Retry.RATE_MINUTE


class RateDay(WeChatRefused):
    """The day's quota is used up until midnight China time."""

    retry = Retry.RATE_DAY


class UserState(WeChatRefused):
    """Something about this user forbids the call; final until the user acts."""

    retry = Retry.USER_STATE


class ConfigError(WeChatRefused):
    """Our settings or our code are wrong: a person has to act."""


CODE_USED: Final = 40163
# Source: the common error codes and the per-API tables of WeChat's documents.
ERRCODES: Final[dict[int, type[WeChatRefused]]] = {
    -1: WeChatBusy,
    **dict.fromkeys((40029, CODE_USED), CodeInvalid),
    **dict.fromkeys((87007, 87008, 87009), SessionKeyStale),
    40226: HighRisk,
    **dict.fromkeys((40001, 40014, 42001), TokenStale),
    43108: SameMoment,
    **dict.fromkeys((45011, 44990, 44991, 61081), RateMinute),
    **dict.fromkeys((45009, 44993, 9410009), RateDay),
    61080: WeChatBusy,
    **dict.fromkeys((40003, 43101, 43104, 45015, 45047, 61010), UserState),
    **dict.fromkeys((40002, 40013, 40037, 40097, 40125, 40129, 40164), ConfigError),
    **dict.fromkeys((40243, 41001, 41002, 41004, 41008, 41030), ConfigError),
    **dict.fromkeys((43001, 43002, 43107, 44002, 45168), ConfigError),
    **dict.fromkeys((47001, 47002, 47003, 40033, 48001, 48004), ConfigError),
    **dict.fromkeys((50002, 50004, 50007, 89503, 89506, 89507), ConfigError),
}


def refusal(path: str, errcode: int, errmsg: str) -> WeChatRefused:
    """Return the error of the class that the table gives ``errcode``."""
    return ERRCODES.get(errcode, WeChatRefused)(path, errcode, errmsg)
