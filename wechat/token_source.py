"""Fetches one app's access token from WeChat, with a pause after each fetch.

`access_token` decides when; here is the one place that calls the stable_token API.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from config.clock import Deadline
from wechat.calls import Caller, whole_number
from wechat.errors import ConfigError, TokenStale, WeChatError, WeChatLied
from wechat.token_store import HeldToken, TokenPolicy

PATH: Final = "/cgi-bin/stable_token"
_LONGEST_TOKEN = 2048
_LONGEST_LIFE_S = 86400
_MOST_DOUBLINGS = 16


class TokenSource:
    """WeChat's side of the token; counts failures and says when to ask again."""

    def __init__(
        self,
        app: tuple[str, str],
        caller: Caller,
        policy: TokenPolicy,
        clock: Callable[[], int],
    ) -> None:
        """``app`` is (app id, secret); ``clock`` gives epoch milliseconds."""
        self._app_id, self._secret = app
        self._caller = caller
        self._policy = policy
        self._clock = clock
        self._not_before_ms = 0
        self._failures = 0

    @property
    def pausing(self) -> bool:
        """Whether it is too early to ask again."""
        return self._clock() < self._not_before_ms

    @property
    def failing(self) -> bool:
        """Whether the pause is one after a failure."""
        return self._failures > 0 and self.pausing

    def fetch(self, deadline: Deadline, *, force: bool) -> HeldToken:
        """Return WeChat's token; ``force`` kills the living one and makes a new one.

        Raises any WeChatError but TokenStale, with ``sent`` False: the business call
        that wanted the token has not begun.
        """
        body: dict[str, Any] = {
            "grant_type": "client_credential",
            "appid": self._app_id,
            "secret": self._secret,
            "force_refresh": force,
        }
        try:
            found = self._caller.post(PATH, {}, body=body, deadline=deadline)
            token, life_s = _read(found)
        except WeChatError as error:
            raise self._failed(error) from None
        self._caller.observer.refreshed("forced" if force else "fetched")
        self._failures = 0
        # A token already near its end is asked about again at half of what is left.
        self._pause(min(self._policy.margin_s, life_s / 2))
        return HeldToken(token, self._clock() + life_s * 1000, 0)

    def _failed(self, error: WeChatError) -> WeChatError:
        self._caller.observer.refreshed("failed")
        if isinstance(error, TokenStale):
            # Here the token codes mean a wrong secret, and healing must not see them.
            error = ConfigError(PATH, error.errcode or 0, error.errmsg)
        pause_s = self._policy.backoff_max_s
        if not isinstance(error, ConfigError):
            pause_s = min(self._policy.backoff_s * 2**self._failures, pause_s)
        self._failures = min(self._failures + 1, _MOST_DOUBLINGS)
        self._pause(pause_s)
        error.sent = False
        return error

    def _pause(self, seconds: float) -> None:
        self._not_before_ms = self._clock() + round(seconds * 1000)


def _read(found: dict[str, Any]) -> tuple[str, int]:
    token = found.get("access_token")
    life_s = whole_number(found.get("expires_in"))
    if not isinstance(token, str) or not 0 < len(token) <= _LONGEST_TOKEN:
        raise WeChatLied(PATH, "no access_token")
    if not token.isascii() or not token.isprintable():
        raise WeChatLied(PATH, "no access_token")
    if life_s is None or not 0 < life_s <= _LONGEST_LIFE_S:
        raise WeChatLied(PATH, "no expires_in")
    return token, life_s
