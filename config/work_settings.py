"""Settings of the work behind the answers: journals, and Celery's limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from config.limit_settings import Rule, parse_rule
from config.setting_group import SettingGroup


def parse_budget(value: object) -> object:
    """Read a token bucket written as text."""
    return parse_rule(value) if isinstance(value, str) else value


class JournalSettings(SettingGroup):
    """The outbox, the login stream and what stays how long."""

    resend_after_s: int = Field(
        30,
        alias="RESEND_AFTER_S",
        ge=1,
        description="Seconds after which unfinished work is sent again.",
    )
    lease_s: int = Field(
        30,
        alias="TASK_LEASE_S",
        ge=3,
        description="Seconds without a sign of a task until its process counts as dead "
        "and another begins its work. A living process renews the lease five times in "
        "that time, until TASK_HARD_LIMIT_S; one that stalls longer is taken for dead.",
    )
    max_attempts: int = Field(
        5,
        alias="MAX_ATTEMPTS",
        ge=1,
        description="Attempts before a row is set aside as dead with its cause.",
    )
    retry_first_s: float = Field(
        1.0,
        alias="RETRY_FIRST_S",
        gt=0,
        description="Seconds before the second attempt; doubles with each, jittered.",
    )
    retry_most_s: float = Field(
        60.0,
        alias="RETRY_MOST_S",
        gt=0,
        description="Longest wait in seconds before another attempt.",
    )
    deaths: int = Field(
        3,
        alias="WORKER_DEATHS",
        ge=1,
        le=10,
        description="Processes that may die of one row before it is quarantined.",
    )
    checkpoint_s: float = Field(
        1.0,
        alias="CHECKPOINT_S",
        gt=0,
        description="Seconds between looks of running work at its own row: how soon a "
        "cancel is noticed, and how often progress is written.",
    )
    retry_budget: Annotated[Rule, BeforeValidator(parse_budget)] = Field(
        Rule(120, 2.0),
        alias="RETRY_BUDGET",
        description="Retries of one app as <burst>/<refill per second>; beyond it they "
        "wait the longest time, so that a fault at WeChat is not stormed.",
    )
    queue_depth: int = Field(
        2000,
        alias="QUEUE_DEPTH",
        ge=10,
        description="Messages of one queue in the broker at most; further rows wait in "
        "SQL, so that bulk work does not fill Redis.",
    )
    batch: int = Field(
        500,
        alias="RELAY_BATCH",
        ge=1,
        le=1000,
        description="Rows or logins the relay takes at once; 500 cost a quarter less "
        "CPU a login than 200.",
    )
    linger_ms: int = Field(
        200,
        alias="RELAY_LINGER_MS",
        ge=0,
        description="Milliseconds the relay waits for a batch of logins to fill. A "
        "task costs a worker about 2 ms whatever it carries: at 700 logins a second, "
        "200 ms cost a third of what 50 ms do.",
    )
    poll_s: float = Field(
        1.0,
        alias="RELAY_POLL_S",
        gt=0,
        description="Seconds between looks at the outbox when no commit wakes it.",
    )
    logins_in_flight: int = Field(
        4000,
        alias="LOGINS_IN_FLIGHT",
        ge=1,
        description="Logins handed to tasks and not finished; more wait in the stream, "
        "so that a slow database does not fill the broker.",
    )
    user_cache_s: int = Field(
        600,
        alias="USER_CACHE_S",
        ge=1,
        description="Life of a cached user in seconds, jittered by a tenth.",
    )
    negative_cache_s: int = Field(
        30,
        alias="NEGATIVE_CACHE_S",
        ge=1,
        description="Seconds a user that does not exist is remembered as such.",
    )
    retention_days: int = Field(
        7,
        alias="RETENTION_DAYS",
        ge=1,
        description="Days that finished journal rows and done marks are kept.",
    )
    login_history_days: int = Field(
        180,
        alias="LOGIN_HISTORY_DAYS",
        ge=1,
        description="Days of login history and security events (Chinese law asks for "
        "six months of logs).",
    )


class CelerySettings(SettingGroup):
    """How workers work; `config/celery.py` turns this into Celery's own names."""

    concurrency: int = Field(
        2,
        alias="WORKER_CONCURRENCY",
        ge=1,
        le=64,
        description="Processes of the worker; one per core.",
    )
    notifier_threads: int = Field(
        8,
        alias="NOTIFIER_THREADS",
        ge=1,
        le=256,
        description="Threads of the notifier, which mostly waits for WeChat.",
    )
    bulk_concurrency: int = Field(
        1,
        alias="BULK_CONCURRENCY",
        ge=1,
        le=64,
        description="Processes for bulk work (exports); it delays nobody else.",
    )
    hard_limit_s: int = Field(
        60,
        alias="TASK_HARD_LIMIT_S",
        ge=2,
        description="Seconds, then killed, or for the notifier's threads, which nobody "
        "can kill: then its lease is renewed no more.",
    )
    soft_limit_s: int = Field(
        45, alias="TASK_SOFT_LIMIT_S", ge=1, description="Seconds, then interrupted."
    )
    visibility_timeout_s: int = Field(
        300,
        alias="VISIBILITY_TIMEOUT_S",
        ge=10,
        description="Seconds until Redis gives an unacknowledged message to another "
        "worker: five times the hard limit.",
    )
    max_tasks_per_child: int = Field(
        2000,
        alias="MAX_TASKS_PER_CHILD",
        ge=1,
        description="Tasks after which a worker process is replaced (leaks).",
    )
    max_child_memory_kb: int = Field(
        200_000,
        alias="MAX_CHILD_MEMORY_KB",
        ge=50_000,
        description="Kilobytes after which a worker process is replaced.",
    )
    soft_shutdown_s: float = Field(
        20.0,
        alias="SOFT_SHUTDOWN_S",
        ge=0,
        description="Seconds a running task has to finish when its worker is told to "
        "stop; then its work goes back. `make run` shortens it to its own grace.",
    )
    probe_s: float = Field(
        40.0,
        alias="WORKER_PROBE_S",
        ge=10,
        le=50,
        description="Seconds a worker may hear nothing while work waits in its queues; "
        "then it is replaced. Above the 30 s Celery may pause between reconnects.",
    )
    lost_retries: int = Field(
        3,
        alias="LOST_RETRIES",
        ge=0,
        le=10,
        description="Repeats of a task whose process died; without a bound one bad "
        "message kills workers for ever.",
    )
    lost_retry_delay_s: int = Field(
        5, alias="LOST_RETRY_DELAY_S", ge=1, description="Seconds before such a repeat."
    )
    broker_timeout_s: float = Field(
        10.0,
        alias="BROKER_TIMEOUT_S",
        gt=1,
        description="Seconds a worker waits for the broker; above the 1 s its "
        "blocking read may take. Unset, a frozen broker blocks for ever.",
    )
    broker_connect_timeout_s: float = Field(
        2.0,
        alias="BROKER_CONNECT_TIMEOUT_S",
        gt=0,
        description="Seconds to open a connection to the broker.",
    )
    publish_timeout_s: float = Field(
        2.0,
        alias="PUBLISH_TIMEOUT_S",
        gt=0,
        description="Seconds the relay waits for a broker connection of the pool.",
    )
    health_check_s: int = Field(
        10,
        alias="BROKER_HEALTH_CHECK_S",
        ge=1,
        description="Seconds between probes of a silent broker connection.",
    )
    beat_interval_s: float = Field(
        5.0,
        alias="BEAT_INTERVAL_S",
        gt=0,
        description="Longest sleep of beat in seconds: how soon it looks again for a "
        "broker that was away, and how often it shows signs of life.",
    )

    @model_validator(mode="after")
    def _limits_in_order(self) -> CelerySettings:
        limits = (self.soft_limit_s, self.hard_limit_s, self.visibility_timeout_s)
        if not limits[0] < limits[1] < limits[2]:
            message = (
                "TASK_SOFT_LIMIT_S < TASK_HARD_LIMIT_S < VISIBILITY_TIMEOUT_S must "
                "hold, or a running task is handed to a second worker"
            )
            raise ValueError(message)
        return self
