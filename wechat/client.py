"""WeChat's server API for one mini-program, typed; the gateway makes one per app.

Every call takes the request's deadline and raises `wechat.errors`. Secrets travel in
queries and bodies only and are never part of an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from config.clock import Deadline, sleep
from wechat.access_token import AccessTokens
from wechat.answers import (
    PhoneNumber,
    WeChatSession,
    read_message_id,
    read_phone,
    read_risk_rank,
    read_session,
    read_session_key,
)
from wechat.calls import Caller
from wechat.crypto import session_signature
from wechat.errors import SessionKeyStale, TokenStale, WeChatBusy, WeChatError

CODE2SESSION: Final = "/sns/jscode2session"
CHECK_SESSION: Final = "/wxa/checksession"
RESET_SESSION: Final = "/wxa/resetusersessionkey"
PHONE_NUMBER: Final = "/wxa/business/getuserphonenumber"
SEND_SUBSCRIBE: Final = "/cgi-bin/message/subscribe/send"
RISK_RANK: Final = "/wxa/getuserriskrank"
# What the rank is wanted for: somebody may abuse what we offer.
ABUSE: Final = 1


@dataclass(frozen=True, slots=True)
class App:
    """A mini-program's id and secret; the repr shows the id only."""

    app_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BusyPolicy:
    """How often and after which wait a call answered with -1 is repeated."""

    retries: int
    wait_s: float


@dataclass(frozen=True, slots=True)
class SubscribeMessage:
    """One subscribe message; ``data`` is flat, as in ``{"thing1": "text"}``."""

    openid: str = field(repr=False)
    template_id: str
    data: Mapping[str, str] = field(repr=False)
    page: str | None = None
    state: Literal["developer", "trial", "formal"] = "formal"
    lang: Literal["zh_CN", "en_US", "zh_HK", "zh_TW"] = "zh_CN"

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the send call."""
        body: dict[str, Any] = {
            "touser": self.openid,
            "template_id": self.template_id,
            "miniprogram_state": self.state,
            "lang": self.lang,
            "data": {key: {"value": value} for key, value in self.data.items()},
        }
        if self.page is not None:
            body["page"] = self.page
        return body


@dataclass(frozen=True, slots=True)
class RiskQuestion:
    """Whom WeChat is asked about; ``trial`` is not counted as a real question.

    ``client_ip`` is the user's own address, and nothing else of the user is told.
    """

    openid: str = field(repr=False)
    client_ip: str = field(repr=False)
    scene: int = ABUSE
    trial: bool = False


class WeChatClient:
    """The calls of one app over a shared `Caller`."""

    def __init__(
        self, app: App, caller: Caller, tokens: AccessTokens, *, busy: BusyPolicy
    ) -> None:
        self._app = app
        self._caller = caller
        self._tokens = tokens
        self._busy = busy
        self._login_query = {
            "appid": app.app_id,
            "secret": app.secret,
            "grant_type": "authorization_code",
        }

    def code2session(self, code: str, *, deadline: Deadline) -> WeChatSession:
        """Exchange a ``wx.login`` code for the user's openid and session_key.

        A busy WeChat is asked again; since it is not known whether that consumed
        the code, a CodeInvalid after it is the truth. Raises any WeChatError.
        """
        query = {**self._login_query, "js_code": code}
        found = self._patiently(
            lambda: self._caller.get(CODE2SESSION, query, deadline=deadline), deadline
        )
        return read_session(found, CODE2SESSION)

    def access_token(self, *, deadline: Deadline) -> str:
        """Return a living access token; raises any WeChatError."""
        return self._tokens.get(deadline)

    def refresh_access_token(self, *, deadline: Deadline) -> bool:
        """Renew a token near its end (for the clock); True when a later one came."""
        return self._tokens.refresh_ahead(deadline)

    def check_session_key(
        self, openid: str, session_key: str, *, deadline: Deadline
    ) -> bool:
        """Tell whether WeChat still holds this session_key for the user."""
        try:
            self._signed(CHECK_SESSION, openid, session_key, deadline=deadline)
        except SessionKeyStale:
            return False
        return True

    def reset_session_key(
        self, openid: str, session_key: str, *, deadline: Deadline
    ) -> str:
        """Replace the user's session_key; the new one inherits the old one's expiry.

        Raises SessionKeyStale when the given one is not valid any more.
        """
        found = self._signed(RESET_SESSION, openid, session_key, deadline=deadline)
        return read_session_key(found.get("session_key"), RESET_SESSION)

    def phone_number(
        self, code: str, openid: str, *, deadline: Deadline
    ) -> PhoneNumber:
        """Exchange a phone-button code; WeChat checks that it is this user's.

        A busy WeChat is asked again, as for logins; only a success is billed. Raises
        CodeInvalid for a used or expired code: only a new tap makes another.
        """
        body = {"code": code, "openid": openid}
        found = self._patiently(
            lambda: self._post(PHONE_NUMBER, body, deadline), deadline
        )
        return read_phone(found, PHONE_NUMBER, self._app.app_id)

    def risk_rank(self, question: RiskQuestion, *, deadline: Deadline) -> int:
        """Return WeChat's opinion of a user, 0 (nothing known) to 4 (block).

        Raises UserState (61010) for a user who has not opened the mini-program within
        two hours, ConfigError (48001) where the account has not applied for the call.
        """
        body = {
            "appid": self._app.app_id,
            "openid": question.openid,
            "scene": question.scene,
            "client_ip": question.client_ip,
            "is_test": question.trial,
        }
        return read_risk_rank(self._post(RISK_RANK, body, deadline), RISK_RANK)

    def send_subscribe_message(
        self, message: SubscribeMessage, *, deadline: Deadline
    ) -> str | None:
        """Call once and return WeChat's msgid, when it told one.

        An error with ``sent`` True that is no WeChatRefused leaves it unknown
        whether the message went out. A refused token is healed and raised, since
        every call is a try of its own in the sender's books.
        """
        token = self._tokens.get(deadline)
        try:
            found = self._call_send(token, message, deadline)
        except TokenStale as refused:
            refused.healed = self._heal(refused, token, deadline)
            raise
        return read_message_id(found)

    def _call_send(
        self, token: str, message: SubscribeMessage, deadline: Deadline
    ) -> dict[str, Any]:
        query = {"access_token": token}
        return self._caller.post(
            SEND_SUBSCRIBE, query, body=message.body(), deadline=deadline
        )

    def _heal(self, refused: TokenStale, token: str, deadline: Deadline) -> bool:
        try:
            self._tokens.heal(refused, token, deadline)
        except WeChatError:
            return False
        return True

    def _patiently(
        self, call: Callable[[], dict[str, Any]], deadline: Deadline
    ) -> dict[str, Any]:
        for _ in range(self._busy.retries):
            try:
                return call()
            except WeChatBusy:
                if deadline.remaining_s() <= self._busy.wait_s:
                    raise
                sleep(self._busy.wait_s)
        return call()

    def _signed(
        self, path: str, openid: str, session_key: str, *, deadline: Deadline
    ) -> dict[str, Any]:
        query = {
            "openid": openid,
            "signature": session_signature(session_key),
            "sig_method": "hmac_sha256",
        }

        def call(token: str) -> dict[str, Any]:
            full = {"access_token": token, **query}
            return self._caller.get(path, full, deadline=deadline)

        return self._with_token(call, deadline)

    def _post(
        self, path: str, body: Mapping[str, Any], deadline: Deadline
    ) -> dict[str, Any]:
        def call(token: str) -> dict[str, Any]:
            query = {"access_token": token}
            return self._caller.post(path, query, body=body, deadline=deadline)

        return self._with_token(call, deadline)

    def _with_token(
        self, call: Callable[[str], dict[str, Any]], deadline: Deadline
    ) -> dict[str, Any]:
        """Call; after a refused token heal it and call exactly once more."""
        token = self._tokens.get(deadline)
        try:
            return call(token)
        except TokenStale as refused:
            healed = self._tokens.heal(refused, token, deadline)
        return call(healed)
