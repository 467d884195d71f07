"""Settings of long work that users can follow, and of how much of it is accepted."""

from __future__ import annotations

from pydantic import Field, model_validator

from config.setting_group import SettingGroup


class OperationSettings(SettingGroup):
    """Operations, their result files, and the backlog at which new work is refused."""

    export_days: int = Field(
        7,
        alias="EXPORT_DAYS",
        ge=1,
        description="Days a person can fetch the file of their export.",
    )
    operation_days: int = Field(
        30,
        alias="OPERATION_DAYS",
        ge=1,
        description="Days a finished operation can be looked up; at least EXPORT_DAYS.",
    )
    export_deadline_s: int = Field(
        86_400,
        alias="EXPORT_DEADLINE_S",
        ge=60,
        description="Seconds after which an export that has not ended is given up, so "
        "that a new one can be asked for.",
    )
    export_page: int = Field(
        500,
        alias="EXPORT_PAGE",
        ge=1,
        le=5000,
        description="Rows an export reads at once; bounds its memory.",
    )
    export_login_wait_s: float = Field(
        30.0,
        alias="EXPORT_LOGIN_WAIT_S",
        ge=0,
        description="Seconds an export waits for the login it was asked with to be in "
        "SQL, normally there within one; then it is made without, and says so.",
    )
    export_login_look_s: float = Field(
        0.3,
        alias="EXPORT_LOGIN_LOOK_S",
        gt=0,
        description="Seconds between its looks for that login; each is one run of the "
        "task.",
    )
    answer_reserve_ms: int = Field(
        150,
        alias="ANSWER_RESERVE_MS",
        ge=0,
        description="Milliseconds of a request's deadline kept back from waiting, so "
        "that the answer still arrives in time.",
    )
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

    @model_validator(mode="after")
    def _operations_outlive_files(self) -> OperationSettings:
        if self.operation_days < self.export_days:
            message = "OPERATION_DAYS must not be below EXPORT_DAYS"
            raise ValueError(message)
        return self
