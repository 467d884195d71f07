"""Settings of the two stores, SQL and Redis; read by `models/` only.

Every wait is bounded: a store that does not answer must cost a request less than
its deadline, never a worker.
"""

from __future__ import annotations

from pydantic import Field, field_validator

from config.setting_group import SettingGroup, url_scheme

SQL_SCHEMES = frozenset({"sqlite", "mysql+pymysql", "mariadb+pymysql"})
REDIS_SCHEMES = frozenset({"redis", "rediss", "unix"})
BROKER_SCHEMES = REDIS_SCHEMES - {"unix"} | {"sentinel", "amqp", "amqps"}


class DatabaseSettings(SettingGroup):
    """The SQL database: the truth."""

    url: str = Field(
        alias="DATABASE_URL",
        repr=False,
        description="SQL address: sqlite:///…, mysql+pymysql://… or "
        "mariadb+pymysql://…; the default is a SQLite file in VAR_DIR.",
    )
    pool_size: int = Field(
        8,
        alias="DATABASE_POOL_SIZE",
        ge=1,
        le=200,
        description="Connections kept by each process; more only queue in the server.",
    )
    pool_wait_s: float = Field(
        2.0,
        alias="DATABASE_POOL_WAIT_S",
        gt=0,
        description="Seconds to wait for a pooled connection before answering 503.",
    )
    connect_timeout_s: int = Field(
        2,
        alias="DATABASE_CONNECT_TIMEOUT_S",
        ge=1,
        description="Seconds to open a connection; whole seconds, the driver's unit.",
    )
    read_timeout_s: int = Field(
        5,
        alias="DATABASE_READ_TIMEOUT_S",
        ge=1,
        description="Seconds to wait for a reply, less when the request has less; the "
        "driver waits for ever unasked.",
    )
    commit_least_s: float = Field(
        2.0,
        alias="DATABASE_COMMIT_LEAST_S",
        gt=0,
        description="Seconds a COMMIT is waited for at least, DATABASE_READ_TIMEOUT_S "
        "at most: cutting one leaves unknown whether it was done.",
    )
    recycle_s: int = Field(
        280,
        alias="DATABASE_RECYCLE_S",
        ge=1,
        description="Age in seconds at which a pooled connection is replaced, below "
        "the 300 s at which many proxies cut idle ones.",
    )
    statement_timeout_s: int = Field(
        4,
        alias="DATABASE_STATEMENT_TIMEOUT_S",
        ge=1,
        description="Seconds one statement may take, less when the request has less; "
        "below DATABASE_READ_TIMEOUT_S, so that the server ends it and the connection "
        "stays whole. MySQL bounds only SELECT by it.",
    )
    lock_wait_s: int = Field(
        5,
        alias="DATABASE_LOCK_WAIT_S",
        ge=1,
        description="Seconds to wait for a row lock, or for SQLite's file lock.",
    )

    @field_validator("url")
    @classmethod
    def _known_driver(cls, value: str) -> str:
        if url_scheme(value) in {"mysql", "mariadb"}:
            message = "must name the driver: mysql+pymysql://… or mariadb+pymysql://…"
            raise ValueError(message)
        if url_scheme(value) not in SQL_SCHEMES:
            message = f"must begin with one of {', '.join(sorted(SQL_SCHEMES))}"
            raise ValueError(message)
        return value


class RedisSettings(SettingGroup):
    """Redis: the speed, and the broker of Celery unless BROKER_URL says otherwise."""

    url: str = Field(
        alias="REDIS_URL",
        repr=False,
        description="Redis address (server 6.2 or newer); `make run` starts a private "
        "one and sets this.",
    )
    broker_url: str = Field(
        alias="BROKER_URL",
        repr=False,
        description="Celery's broker when it is not REDIS_URL: redis://, rediss://, "
        "sentinel:// or amqp://. A Redis Cluster cannot be a broker.",
    )
    timeout_s: float = Field(
        0.5,
        alias="REDIS_TIMEOUT_S",
        gt=0,
        description="Seconds to wait for a reply; a write is never repeated on it.",
    )
    connect_timeout_s: float = Field(
        0.3,
        alias="REDIS_CONNECT_TIMEOUT_S",
        gt=0,
        description="Seconds to open a connection.",
    )
    lanes: int = Field(
        2,
        alias="REDIS_LANES",
        ge=1,
        le=64,
        description="Connections shared by all requests of a web process: commands in "
        "flight together travel in one pipeline.",
    )
    pool_size: int = Field(
        16,
        alias="REDIS_POOL_SIZE",
        ge=1,
        le=1000,
        description="Connections of each reader that waits at Redis (streams, "
        "signals), beside the lanes; one each is used today.",
    )
    pool_wait_s: float = Field(
        0.2,
        alias="REDIS_POOL_WAIT_S",
        gt=0,
        description="Seconds to wait for one of them, then Redis counts as away.",
    )
    breaker_failures: int = Field(
        5,
        alias="REDIS_BREAKER_FAILURES",
        ge=1,
        description="Failures in a row after which Redis is left alone for a while.",
    )
    breaker_open_s: float = Field(
        2.0,
        alias="REDIS_BREAKER_OPEN_S",
        gt=0,
        description="Seconds it is then left alone; calls fail at once meanwhile.",
    )
    doubt_s: float = Field(
        15.0,
        alias="REDIS_DOUBT_S",
        ge=0,
        le=300,
        description="Seconds after a failure in which a process asks SQL as well "
        "whether a session lives, and as whom somebody logs in: what ended or changed "
        "meanwhile may live on in Redis until the outbox has repaired it.",
    )
    look_back_s: int = Field(
        3600,
        alias="REDIS_LOOK_BACK_S",
        ge=60,
        le=7 * 24 * 3600,
        description="Seconds by which the end of a session may have been told to Redis "
        "late, by the outbox at last: so much before the last sign of life in a copy "
        "of Redis that was put back, its ends are told again. 100,000 take some "
        "seconds, in which every request asks SQL.",
    )
    prefix: str = Field(
        "kuaida",
        alias="REDIS_PREFIX",
        pattern=r"^[a-z0-9_-]{1,32}$",
        description="First part of every key, so that installations can share Redis.",
    )

    @field_validator("url")
    @classmethod
    def _known_store(cls, value: str) -> str:
        if url_scheme(value) not in REDIS_SCHEMES:
            message = f"must begin with one of {', '.join(sorted(REDIS_SCHEMES))}"
            raise ValueError(message)
        return value

    @field_validator("broker_url")
    @classmethod
    def _known_broker(cls, value: str) -> str:
        # kombu 5.7 has no cluster transport: a cluster would lose the queues.
        if "cluster" in url_scheme(value) or "cluster=true" in value.lower():
            message = (
                "is a Redis Cluster, which Celery cannot use as a broker: set "
                "BROKER_URL to a single Redis, a Sentinel or RabbitMQ"
            )
            raise ValueError(message)
        if url_scheme(value) not in BROKER_SCHEMES:
            message = f"must begin with one of {', '.join(sorted(BROKER_SCHEMES))}"
            raise ValueError(message)
        return value
