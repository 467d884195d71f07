"""Settings of accounts: what people hear of their sessions, how long guests stay."""

from __future__ import annotations

from pydantic import Field, FilePath

from config.setting_group import SettingGroup


class AccountSettings(SettingGroup):
    """Accounts of users and guests."""

    guest_days: int = Field(
        30,
        alias="GUEST_DAYS",
        ge=1,
        le=3650,
        description="Days without activity after which a guest goes with all its rows; "
        "those found to be a known user's stay for the merge.",
    )
    ip_city_file: FilePath | None = Field(
        None,
        alias="IP_CITY_FILE",
        description="CSV of network,city without a head, UTF-8; tells people in which "
        "city their sessions are. Read once by each process, 200 bytes a line. Empty: "
        "nobody is told.",
    )
