"""Settings of the WeChat client: which apps, which host, how long to wait."""

from __future__ import annotations

import json
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, field_validator

from config.setting_group import SettingGroup, url_scheme

DEMO_APP_ID = "wxdemo0000000001"


class WeChatApp(SettingGroup):
    """One mini-program, as its page in the WeChat console shows it."""

    app_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    secret: SecretStr = Field(min_length=1)
    push_token: SecretStr = SecretStr("")
    encoding_aes_key: SecretStr = SecretStr("")
    dialect: Literal["rest", "http200", "code200", "errno"] = "rest"
    # Sessions a user may have at a time, the newest ones; 1 is one phone, 0 any number.
    max_sessions: int = Field(0, ge=0, le=1000)

    @field_validator("encoding_aes_key")
    @classmethod
    def _whole_key(cls, value: SecretStr) -> SecretStr:
        # WeChat shows base64 of 32 bytes without its closing "=": 43 characters.
        if len(value.get_secret_value()) not in {0, 43}:
            message = "must be the 43 characters of the WeChat console, or empty"
            raise ValueError(message)
        return value


def parse_apps(value: object) -> object:
    """Read the JSON list of WECHAT_APPS; other values as they are."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        message = 'must be a JSON list like [{"app_id": "wx…", "secret": "…"}]'
        raise ValueError(message) from None


class WeChatSettings(SettingGroup):
    """Our way to WeChat; only `wechat/gateway.py` reads this group."""

    api_base: str = Field(
        alias="WECHAT_API_BASE",
        description="Where WeChat is; the default is the simulator on SIM_PORT, the "
        "real one is https://api.weixin.qq.com.",
    )
    apps: Annotated[tuple[WeChatApp, ...], BeforeValidator(parse_apps)] = Field(
        alias="WECHAT_APPS",
        min_length=1,
        repr=False,
        description="JSON list of {app_id, secret, push_token, encoding_aes_key, "
        "dialect?, max_sessions?}; unset is the demo app of the simulator.",
    )
    connect_timeout_s: float = Field(
        2.0,
        alias="WECHAT_CONNECT_TIMEOUT_S",
        gt=0,
        description="Seconds to open a connection.",
    )
    read_timeout_s: float = Field(
        5.0,
        alias="WECHAT_READ_TIMEOUT_S",
        gt=0,
        description="Seconds to wait for an answer, less when the request has less.",
    )
    pool_size: int = Field(
        160,
        alias="WECHAT_POOL_SIZE",
        ge=1,
        le=2000,
        description="Connections of a process: at 50 ms a call, the 128 that logins "
        "may hold of them carry 2,500 a second.",
    )
    pool_wait_s: float = Field(
        0.5,
        alias="WECHAT_POOL_WAIT_S",
        gt=0,
        description="Seconds to wait for a free connection, or for a place among the "
        "calls of a path.",
    )
    path_share: float = Field(
        0.8,
        alias="WECHAT_PATH_SHARE",
        gt=0,
        le=1,
        description="Part of WECHAT_POOL_SIZE that calls of one path may hold: the "
        "rest is for the other paths while one stalls. As many more may wait for "
        "WECHAT_POOL_WAIT_S; further ones are refused at once.",
    )
    idle_s: float = Field(
        30.0,
        alias="WECHAT_IDLE_S",
        gt=0,
        description="Seconds an unused connection is kept; gateways close idle ones "
        "after about a minute.",
    )
    login_patience_s: float = Field(
        3.0,
        alias="WECHAT_LOGIN_PATIENCE_S",
        gt=0,
        le=30,
        description="Seconds an exchange of a login or phone code goes on though its "
        "caller has less time: a code works once, and a repetition gets the answer.",
    )
    fair_wait_s: float = Field(
        1.0,
        alias="WECHAT_FAIR_WAIT_S",
        gt=0,
        description="A timeout counts against the breaker only when the caller gave "
        "WeChat this many seconds: impatient clients must not shut the door for all.",
    )
    busy_retries: int = Field(
        1,
        alias="WECHAT_BUSY_RETRIES",
        ge=0,
        le=3,
        description="Repeats after errcode -1, which states that nothing was done.",
    )
    busy_wait_s: float = Field(
        0.1,
        alias="WECHAT_BUSY_WAIT_S",
        ge=0,
        description="Seconds before such a repeat.",
    )
    max_answer_bytes: int = Field(
        1_048_576,
        alias="WECHAT_MAX_ANSWER_BYTES",
        ge=1024,
        description="Bytes of an answer that are read; a longer one is refused.",
    )
    breaker_failures: int = Field(
        10,
        alias="WECHAT_BREAKER_FAILURES",
        ge=1,
        description="Failures in a row of one path that open its breaker.",
    )
    breaker_open_s: float = Field(
        2.0,
        alias="WECHAT_BREAKER_OPEN_S",
        gt=0,
        description="Seconds an open breaker answers without calling.",
    )
    breaker_share_s: float = Field(
        0.25,
        alias="WECHAT_BREAKER_SHARE_S",
        gt=0,
        description="Seconds between a process's looks at what the others found shut, "
        "and only when it calls WeChat: a quarter of a second is one Redis round trip "
        "in hundreds of logins.",
    )
    token_refresh_margin_s: int = Field(
        300,
        alias="WECHAT_TOKEN_REFRESH_MARGIN_S",
        ge=60,
        le=3600,
        description="Seconds before its end at which the access token is renewed; "
        "WeChat keeps the old one valid for five minutes.",
    )

    token_lease_s: float = Field(
        10.0,
        alias="WECHAT_TOKEN_LEASE_S",
        gt=0,
        description="Seconds one process may take to renew the access token before "
        "another may try.",
    )
    token_wait_s: float = Field(
        2.0,
        alias="WECHAT_TOKEN_WAIT_S",
        gt=0,
        description="Seconds a caller waits for another process's renewal.",
    )
    token_backoff_s: float = Field(
        1.0,
        alias="WECHAT_TOKEN_BACKOFF_S",
        gt=0,
        description="Seconds between failed renewals at first; doubles up to a minute.",
    )

    @field_validator("api_base")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if url_scheme(value) not in {"http", "https"}:
            message = "must begin with http:// (simulator) or https://"
            raise ValueError(message)
        parts = urlsplit(value.rstrip("/"))
        if not parts.hostname or "@" in parts.netloc:
            message = "must name a host, and nobody before it"
            raise ValueError(message)
        if parts.path or parts.query or parts.fragment:
            message = "ends after the host and its port"
            raise ValueError(message)
        return value.rstrip("/")

    @field_validator("apps")
    @classmethod
    def _each_once(cls, value: tuple[WeChatApp, ...]) -> tuple[WeChatApp, ...]:
        if len({app.app_id for app in value}) != len(value):
            message = "names one app_id twice"
            raise ValueError(message)
        return value
