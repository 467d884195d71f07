"""What WeChat's answer to a send means for the message: the one table.

A message is sent again only when it is known that nobody got it. `tasks/failures.py`
says which faults pass; `tasks/retries.py` when to try again.
"""

from __future__ import annotations

from typing import Literal

from models.notification_states import Outcome
from tasks.failures import is_transient
from wechat.client import SEND_SUBSCRIBE
from wechat.errors import (
    ERRCODES,
    TokenStale,
    WeChatBusy,
    WeChatError,
    WeChatRefused,
)

# WeChat's -1 states that it did nothing; even so only twice.
BUSY_REPEATS = 2
GAVE_UP, BUSY = "gave_up", "wechat_busy"


def outcome_of(error: WeChatError, busy_answers: int) -> Outcome:
    """Return what became of a try that raised ``error``.

    ``busy_answers`` counts the -1 of the earlier tries.
    """
    if may_have_arrived(error):
        return Outcome("unknown", error.label)
    if is_busy(error) and busy_answers >= BUSY_REPEATS:
        return Outcome("failed", BUSY, error.errcode)
    name: Literal["put_off", "failed"] = "put_off" if is_transient(error) else "failed"
    return Outcome(name, _why(error), error.errcode)


def _why(error: WeChatError) -> str:
    """Return a word; the number that WeChat gave stands beside it as `errcode`."""
    if isinstance(error, WeChatBusy):
        return BUSY
    return error.retry.value if isinstance(error, WeChatRefused) else error.label


def may_have_arrived(error: WeChatError) -> bool:
    """Whether WeChat may have sent the message without telling us.

    Faults of other paths (the access token) came before the send itself.
    """
    return (
        error.path == SEND_SUBSCRIBE
        and error.sent
        and not isinstance(error, WeChatRefused)
    )


def is_busy(error: WeChatError) -> bool:
    """Whether the send itself was answered with -1."""
    return error.path == SEND_SUBSCRIBE and isinstance(error, WeChatBusy)


def may_follow_at_once(error: WeChatError, last_errcode: int | None) -> bool:
    """Whether only the token was bad and another one is at hand.

    Once: tokens refused one after the other are no matter of moments.
    """
    if not isinstance(error, TokenStale) or not error.healed:
        return False
    return last_errcode is None or ERRCODES.get(last_errcode) is not TokenStale


def after_waiting(outcome: Outcome, waited_ms: int, patience_ms: int) -> Outcome:
    """Return ``outcome``, or the failure it becomes when the wait is too long."""
    if waited_ms > patience_ms:
        return Outcome("failed", GAVE_UP, outcome.errcode)
    return outcome
