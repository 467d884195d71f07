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
        ge=1,
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
    phone_cost_fen: int = Field(
        3,
        alias="PHONE_COST_FEN",
        ge=0,
        description="What WeChat bills for one phone number by code, in fen.",
    )
    phone_monthly_cap_fen: int = Field(
        300_000,
        alias="PHONE_MONTHLY_CAP_FEN",
        ge=0,
        description="Fen one app may spend on phone numbers in a month of China; an "
        "alert comes at four fifths. Calls with an unknown end count as spent.",
    )
    phone_user_daily: int = Field(
        10,
        alias="PHONE_USER_DAILY",
        ge=1,
        description="Billed calls one user may cause in a day of China; a person binds "
        "one number, a script could spend the budget of all.",
    )
    paid_call_s: int = Field(
        60,
        alias="PAID_CALL_S",
        ge=30,
        description="Seconds after which a reserved call that nobody settled counts "
        "as lost with its process; longer than any request may take (30 s).",
    )
    paid_calls_days: int = Field(
        400,
        alias="PAID_CALLS_DAYS",
        ge=40,
        description="Days the ledger of billed calls is kept; bills come monthly and "
        "are compared with it over a year.",
    )
