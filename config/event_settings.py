"""Settings of the user events channel: its fast tail, its waits and its limits."""

from __future__ import annotations

from pydantic import Field

from config.setting_group import SettingGroup


class EventSettings(SettingGroup):
    """How soon an event is heard, and how many may listen for it."""

    tail_length: int = Field(
        2000,
        alias="EVENTS_TAIL_LENGTH",
        ge=10,
        description="Announcements kept in Redis for the whole installation (up to 100 "
        "events each); a reader that fell further behind asks SQL.",
    )
    poll_s: float = Field(
        10.0,
        alias="EVENTS_POLL_S",
        gt=0,
        description="Seconds between looks into SQL for all who listen: how late an "
        "event comes whose announcement was lost.",
    )
    away_poll_s: float = Field(
        1.0,
        alias="EVENTS_AWAY_POLL_S",
        gt=0,
        description="The same while Redis is away and nothing is announced at all.",
    )
    heartbeat_s: float = Field(
        10.0,
        alias="EVENTS_HEARTBEAT_S",
        gt=0,
        description="Seconds between heartbeats of a stream; below the 30 to 60 s "
        "after which proxies cut silent connections.",
    )
    stream_s: float = Field(
        900.0,
        alias="EVENTS_STREAM_S",
        gt=0,
        description="Longest life of a stream in seconds, jittered by a tenth so that "
        "clients do not come back all at once; its token lives no longer.",
    )
    connection_share: float = Field(
        0.75,
        alias="EVENTS_CONNECTION_SHARE",
        gt=0,
        lt=1,
        description="Part of WEB_CONNECTIONS that listeners may hold; the rest is kept "
        "for requests. Further listeners get 503 overloaded.",
    )
    per_user: int = Field(
        50,
        alias="EVENTS_PER_USER",
        ge=1,
        description="Listeners of one user in one web process; further ones get 429. "
        "RATE_LIMITS=off switches it off too.",
    )
