"""Settings of the processes: listeners, logs, Flower and the development runner."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from config.setting_group import LOCAL_HOST, SettingGroup


class HttpSettings(SettingGroup):
    """The two listeners and what a request may cost."""

    web_host: str = Field(
        LOCAL_HOST, alias="WEB_HOST", description="Address of the public listener."
    )
    web_port: int = Field(
        8000, alias="WEB_PORT", ge=1, le=65535, description="Port of the public API."
    )
    ops_host: str = Field(
        LOCAL_HOST,
        alias="OPS_HOST",
        description="Address of the internal listener; never a public one.",
    )
    ops_allow_remote: bool = Field(
        default=False,
        alias="OPS_ALLOW_REMOTE",
        description="Permits an OPS_HOST other than loopback in production (in a "
        "container or a network that strangers cannot reach).",
    )
    ops_port: int = Field(
        8001, alias="OPS_PORT", ge=1, le=65535, description="Port of the internal API."
    )
    sim_port: int = Field(
        8002, alias="SIM_PORT", ge=1, le=65535, description="Port of the simulator."
    )
    sim_host: str = Field(
        LOCAL_HOST,
        alias="SIM_HOST",
        description="Address the simulator listens on; not loopback in containers.",
    )
    web_processes: int = Field(
        2,
        alias="WEB_PROCESSES",
        ge=1,
        le=64,
        description="Processes of the public API; one per core.",
    )
    web_connections: int = Field(
        8000,
        alias="WEB_CONNECTIONS",
        ge=10,
        description="Open connections of a web process, if it may open so many files; "
        "further ones wait in the kernel. Bounds what slow clients can hold.",
    )
    keepalive_s: int = Field(
        5,
        alias="KEEPALIVE_S",
        ge=1,
        description="Seconds an idle connection stays; also bounds slow headers.",
    )
    worker_timeout_s: int = Field(
        30,
        alias="WORKER_TIMEOUT_S",
        ge=1,
        description="Seconds after which a web process that hangs is replaced.",
    )
    graceful_timeout_s: int = Field(
        30,
        alias="GRACEFUL_TIMEOUT_S",
        ge=1,
        description="Seconds for running requests at a stop: MAX_TIMEOUT_MS, and below "
        "the 40 s of the container. `make run` shortens it to its own grace.",
    )
    max_requests: int = Field(
        500_000,
        alias="WEB_MAX_REQUESTS",
        ge=0,
        description="Requests after which a web process is replaced, one at a time (a "
        "guard against leaks: 200 bytes a request would be 100 MB); 0 is never, and so "
        "it is with WEB_PROCESSES=1. Each costs some seconds of one process: a few "
        "thousand requests would be a few seconds under load.",
    )
    body_limit: int = Field(
        65_536, alias="BODY_LIMIT", ge=1024, description="Bytes of a request body."
    )
    body_deadline_s: float = Field(
        10.0,
        alias="BODY_DEADLINE_S",
        gt=0,
        description="Seconds for the whole body to arrive; gunicorn has no such limit.",
    )
    json_depth: int = Field(
        32, alias="JSON_DEPTH", ge=4, le=200, description="Nesting of a JSON body."
    )
    idempotency_key_s: int = Field(
        86_400,
        alias="IDEMPOTENCY_KEY_S",
        ge=60,
        description="Seconds an answer is kept under its Idempotency-Key: longer than "
        "a phone may be off the net and still repeat a request.",
    )
    default_timeout_ms: int = Field(
        5000,
        alias="DEFAULT_TIMEOUT_MS",
        ge=1,
        description="Deadline of a request without X-Timeout-Ms, in milliseconds.",
    )
    min_timeout_ms: int = Field(
        100,
        alias="MIN_TIMEOUT_MS",
        ge=1,
        description="Shortest deadline a client may ask for, in milliseconds.",
    )
    max_timeout_ms: int = Field(
        30_000,
        alias="MAX_TIMEOUT_MS",
        ge=1,
        description="Longest deadline a client may ask for, in milliseconds.",
    )


class LogSettings(SettingGroup):
    """What is written down, and how."""

    format: Literal["json", "console"] = Field(
        "json",
        alias="LOG_FORMAT",
        description="json, or console for eyes: the terminal of `make run` (its files "
        "stay JSON), or standard output of a process started alone.",
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", alias="LOG_LEVEL", description="Least level written."
    )
    debug: bool = Field(
        default=False,
        alias="DEBUG",
        description="Development aids of libraries; refused in production.",
    )


class FlowerSettings(SettingGroup):
    """The task dashboard: a door for operators, so closed by default."""

    host: str = Field(LOCAL_HOST, alias="FLOWER_HOST", description="Its address.")
    port: int = Field(
        5555, alias="FLOWER_PORT", ge=1, le=65535, description="Its port."
    )
    wait_s: float = Field(
        20.0,
        alias="FLOWER_WAIT_S",
        ge=0,
        description="Seconds it waits at its start for workers on all queues: it asks "
        "once, and its Broker page would lack the queues of those who come later.",
    )
    read_only: bool = Field(
        default=True,
        alias="FLOWER_READ_ONLY",
        description="false lets its users stop and restart workers.",
    )
    allow_remote: bool = Field(
        default=False,
        alias="FLOWER_ALLOW_REMOTE",
        description="Permits a FLOWER_HOST other than loopback in production (in a "
        "container whose port is published on loopback only).",
    )


class RunnerSettings(SettingGroup):
    """Settings of `make run` alone (`config/dev`)."""

    redis_port: int = Field(
        0,
        alias="REDIS_PORT",
        ge=0,
        le=65535,
        description="Port of the private Redis; 0 takes 6379 or any free one.",
    )
    redis_server: Path | None = Field(
        None,
        alias="REDIS_SERVER",
        description="Redis or Valkey program to start instead of the bundled one.",
    )
    start_timeout_s: int = Field(
        90,
        alias="START_TIMEOUT_S",
        ge=5,
        description="Seconds until every process must be healthy.",
    )
    stop_grace_s: float = Field(
        9.0,
        alias="STOP_GRACE_S",
        gt=0,
        le=60,
        description="Seconds for running requests and tasks before the hard stop; "
        "everything is over within 5 s more.",
    )
    frozen_after_s: int = Field(
        40,
        alias="FROZEN_AFTER_S",
        ge=10,
        le=3600,
        description="Seconds without a sign of life until a process is killed and "
        "started again; signs come each 5 s, whatever the stores do.",
    )
    log_file_bytes: int = Field(
        20_000_000,
        alias="LOG_FILE_BYTES",
        ge=100_000,
        description="Bytes of a file in VAR_DIR/log before it is moved to <name>.1.",
    )
