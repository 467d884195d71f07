"""What a failed exchange leaves under its code for those who sent the code as well.

A refusal stands as long as the code. A passing fault is told only to who asked at the
same moment; a fault that was its caller's own is told to nobody.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from config.clock import MS_PER_S
from models.errors import (
    KuaidaError,
    Limited,
    LoginCodeInvalid,
    RedisUnavailable,
    Unauthenticated,
    Upstream,
)
from models.stores.admission import FailedExchange
from web.services.login_record import encode_record, failure_record, is_lasting
from web.services.wechat_faults import was_used_up
from wechat.errors import WeChatError

if TYPE_CHECKING:
    from config.token_settings import TokenSettings
    from models.stores.container import Stores
    from web.services.login_attempt import Attempt

# Long enough for who asked at the same moment, short enough to be over at a retry.
PASSING_FAULT_MS: Final = 500


class LoginFailures:
    """Writes failures down where the flight of the code was."""

    def __init__(self, stores: Stores, tokens: TokenSettings) -> None:
        self._admission = stores.admission
        self._code_life_ms = tokens.code_life_s * MS_PER_S

    def remember(self, attempt: Attempt, error: KuaidaError) -> None:
        """Leave ``error`` to the others, and give it the wait that it implies.

        Counts a refused code against its device, unless we had used it up. Redis
        away: nobody is told.
        """
        life_ms = self._life_ms(error)
        if life_ms == PASSING_FAULT_MS and isinstance(error, Upstream | Limited):
            # Sooner, a repetition would only be told the same.
            error.retry_after_ms = max(error.retry_after_ms or 0, life_ms)
        failed = FailedExchange(
            mark=attempt.mark,
            record=encode_record(failure_record(error)),
            life_ms=life_ms,
            counts=isinstance(error, LoginCodeInvalid) and not was_used_up(error),
            spent_key=attempt.spent_key,
            spent_ms=self._code_life_ms if _may_be_spent(error) else 0,
        )
        with suppress(RedisUnavailable):
            self._admission.record_failure(attempt.limits, attempt.code_key, failed)

    def _life_ms(self, error: KuaidaError) -> int:
        if is_lasting(error):
            return self._code_life_ms
        if error.reason == "wechat_timeout" or isinstance(error, Unauthenticated):
            # Its caller had no more time, or sent a guest's token that was refused;
            # those who joined may do better.
            return 0
        return PASSING_FAULT_MS


def _may_be_spent(error: KuaidaError) -> bool:
    """Whether WeChat may have used the code up without our hearing of it.

    That it refuses the code next time is then no failure of the phone's.
    """
    cause = error.__cause__
    if not isinstance(error, Upstream) or not isinstance(cause, WeChatError):
        return False
    return cause.sent
