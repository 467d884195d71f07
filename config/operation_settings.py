"""Settings of long work that users can follow, and of how much of it is accepted."""

from __future__ import annotations

from pydantic import Field

from config.setting_group import SettingGroup


class OperationSettings(SettingGroup):
    """Operations, their result files, and the backlog at which new work is refused."""

    bulk_backlog: int = Field(
        1000,
        alias="BULK_BACKLOG",
        ge=1,
        description="Unfinished rows of the bulk lane at which no further bulk work is "
        "accepted; one bulk process exports about one user a second.",
    )
    backlog_fresh_s: float = Field(
        1.0,
        alias="BACKLOG_FRESH_S",
        ge=0,
        description="Seconds a process believes its last count of a lane.",
    )
    backlog_wait_s: float = Field(
        10.0,
        alias="BACKLOG_WAIT_S",
        gt=0,
        description="Seconds a client is told to wait when a lane is full.",
    )
