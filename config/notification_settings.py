"""Settings of subscribe messages: how long each part waits, and what is accepted."""

from __future__ import annotations

from pydantic import Field

from config.setting_group import SettingGroup


class NotificationSettings(SettingGroup):
    """Messages to users; read by the internal listener and the notifier."""

    backlog: int = Field(
        100_000,
        alias="NOTIFICATION_BACKLOG",
        ge=1,
        description="Unsent messages, planned ones included, at which no further one "
        "is accepted. On two cores the notifier sent 20 to 40 a second, at about 17 ms "
        "of CPU each: a full backlog takes it an hour or so.",
    )
    call_s: float = Field(
        8.0,
        alias="NOTIFICATION_CALL_S",
        gt=0,
        description="Seconds for one send, a fetch of the access token included. "
        "Half of TASK_LEASE_S at most: who is frozen before its call, and wakes when "
        "another may have the message, must find the time for calling over.",
    )
    record_s: float = Field(
        20.0,
        alias="NOTIFICATION_RECORD_S",
        ge=0,
        description="Seconds to go on trying to write down an outcome while the "
        "database is away; after that the message is unknown.",
    )
    patience_s: int = Field(
        90_000,
        alias="NOTIFICATION_PATIENCE_S",
        ge=60,
        description="Seconds after its time at which a message that could not be sent "
        "fails; 25 hours, so that a day's quota can begin anew once.",
    )
    horizon_days: int = Field(
        90,
        alias="NOTIFICATION_HORIZON_DAYS",
        ge=1,
        description="Days that send_at may lie ahead.",
    )
    past_s: int = Field(
        300,
        alias="NOTIFICATION_PAST_S",
        ge=0,
        description="Seconds that send_at may lie back, because clocks differ; such a "
        "message is sent at once.",
    )
    kept_days: int = Field(
        90,
        alias="NOTIFICATION_DAYS",
        ge=1,
        description="Days that messages that ended are kept, with their attempts and "
        "dedupe keys.",
    )
