"""Settings of tokens and sessions; read by `web/auth` and the session stores."""

from __future__ import annotations

from pydantic import Field

from config.clock import MS_PER_S
from config.setting_group import SettingGroup


class TokenSettings(SettingGroup):
    """Tokens and sessions."""

    access_s: int = Field(
        900,
        alias="ACCESS_TOKEN_S",
        ge=1,
        le=900,
        description="Life of an access token in seconds; 15 minutes at most, because "
        "it is believed without a look-up.",
    )
    refresh_s: int = Field(
        2_592_000,
        alias="REFRESH_TOKEN_S",
        ge=60,
        description="Life of a refresh token in seconds (30 days): so long may a "
        "session lie idle.",
    )
    session_max_s: int = Field(
        15_552_000,
        alias="SESSION_MAX_S",
        ge=60,
        description="Life of a session in seconds (180 days), however often it is "
        "refreshed; then WeChat is asked again who this is.",
    )
    grace_s: int = Field(
        10,
        alias="REFRESH_GRACE_S",
        ge=0,
        le=60,
        description="Seconds in which a used refresh token still gives its successor: "
        "phones lose answers. 0 forgives no repeat.",
    )
    verdict_s: float = Field(
        0.5,
        alias="SESSION_VERDICT_S",
        gt=0,
        le=10,
        description="Seconds SQL has to say that a session of Redis has ended, within "
        "REDIS_DOUBT_S, and to note that one was reused; after that it is away. The "
        "same for all: who is impatient must not get around it, and who is patient "
        "not use up the time on a silent server.",
    )
    leeway_s: int = Field(
        30,
        alias="TOKEN_LEEWAY_S",
        ge=0,
        le=120,
        description="Seconds our own machines' clocks may differ.",
    )
    issuer: str = Field(
        "kuaida", alias="TOKEN_ISSUER", min_length=1, description="Claim iss."
    )
    audience: str = Field(
        "kuaida-client", alias="TOKEN_AUDIENCE", min_length=1, description="Claim aud."
    )
    key_days: int = Field(
        90,
        alias="JWT_KEY_DAYS",
        ge=0,
        le=3650,
        description="Days after which the key that signs access tokens is replaced, "
        "where it stands in VAR_DIR/secrets; 0 for never.",
    )
    key_reload_s: float = Field(
        5.0,
        alias="JWT_KEY_RELOAD_S",
        ge=0.1,
        le=60,
        description="Seconds after which a process has noticed changed key files; one "
        "that meets an unknown key looks at once.",
    )
    session_key_s: int = Field(
        259_200,
        alias="SESSION_KEY_S",
        ge=60,
        description="Life of the sealed session_key in Redis in seconds (3 days, what "
        "WeChat keeps one for at most).",
    )
    code_life_s: int = Field(
        300,
        alias="CODE_LIFE_S",
        ge=1,
        description="Life of a login code in seconds (WeChat's five minutes).",
    )

    @property
    def key_overlap_ms(self) -> int:
        """How long an old key must verify after a rotation.

        The last process to notice still signs with it for ``key_reload_s``.
        """
        return int((self.access_s + self.leeway_s + self.key_reload_s) * MS_PER_S)
