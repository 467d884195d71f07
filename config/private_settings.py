"""Settings of what is private: session keys, encrypted data, phone numbers, their cost.

How long a key is kept at all is `SESSION_KEY_S`, beside the lives of tokens.
"""

from __future__ import annotations

from pydantic import Field

from config.setting_group import SettingGroup


class PrivateSettings(SettingGroup):
    """Session keys, encrypted data and phone numbers."""

    previous_key_s: int = Field(
        300,
        alias="SESSION_KEY_PREVIOUS_S",
        ge=0,
        le=600,
        description="Seconds a session_key stays after a newer login, for data that "
        "was encrypted just before it; not longer than data may be old (10 minutes).",
    )
    contested_key_s: int = Field(
        30,
        alias="SESSION_KEY_CONTESTED_S",
        ge=0,
        description="Two keys of a user within so many seconds: WeChat is asked in "
        "the background which one it holds. As long as a login may take (30 s), since "
        "two exchanges that overlap may be written in the wrong order.",
    )
    verdict_s: int = Field(
        5,
        alias="SESSION_KEY_VERDICT_S",
        ge=1,
        le=300,
        description="Seconds that WeChat's word on a session_key is remembered: "
        "requests that fail cannot make us ask more often.",
    )
    check_s: float = Field(
        2.0,
        alias="SESSION_KEY_CHECK_S",
        gt=0,
        description="Seconds WeChat has to say whether it holds a key, less when the "
        "request has less; afterwards the data simply counts as unreadable.",
    )
    refusal_ms: int = Field(
        5,
        alias="DECRYPT_REFUSAL_MS",
        ge=0,
        le=1000,
        description="Milliseconds that opening data takes at least when it fails, so "
        "that its time does not tell the cause; opening takes about a tenth of it.",
    )
