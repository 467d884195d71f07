"""Every Prometheus metric of the project, declared once; no I/O and no ids in labels.

Whoever counts imports the object from here. Figures that are read at scrape time
(journal lag, queue lengths, outbox states) are made by `web/ops_metrics.py`.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

from prometheus_client import Counter, Gauge, Histogram, values

from config.queues import READERS, Queue
from config.schedule import SCHEDULE

# An underscore would split the file names that prometheus_client reads back.
HOST: Final = socket.gethostname().replace("_", "-")

# Asked for at every count; a process meets its own pid and that of its parent.
_LABELS: Final[dict[int, str]] = {}


def process_label() -> str:
    """Return the name of this process in the multiprocess folder.

    Containers share the folder and all begin with the same pids.
    """
    own = os.getpid()
    label = _LABELS.get(own)
    if label is None:
        label = _LABELS[own] = f"{HOST}-{own}"
    return label


def shared_folder() -> Path | None:
    """Return where processes leave their counters for each other, None if nowhere."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(folder) if folder else None


# The library has read PROMETHEUS_MULTIPROC_DIR and chosen files over memory.
if values.ValueClass is not values.MutexValue:
    values.ValueClass = values.MultiProcessValue(  # type: ignore[no-untyped-call]
        process_label
    )

# Edges follow the promises: 1-60 ms for our own work, up to the longest deadline.
_REQUEST_BUCKETS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.06, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0,
)  # fmt: skip
_UPSTREAM_BUCKETS: Final = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_TASK_BUCKETS: Final = (0.005, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 45.0, 60.0)
# The promise is 95 % within 10 s.
_NOTIFICATION_BUCKETS: Final = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0)
_BATCH_BUCKETS: Final = (1, 2, 5, 10, 25, 50, 100, 200, 500)

# web: the public and the internal listener
HTTP_REQUESTS: Final = Counter(
    "kuaida_http_requests", "Answers by route template.", ("route", "method", "status")
)
HTTP_SECONDS: Final = Histogram(
    "kuaida_http_seconds", "Time to answer.", ("route",), buckets=_REQUEST_BUCKETS
)
HTTP_ERRORS: Final = Counter(
    "kuaida_http_errors", "Error answers by reason of the contract.", ("reason",)
)
REFERERS: Final = Counter(
    "kuaida_referers",
    "Requests whose Referer is no page of the token's released mini-program.",
    ("hint",),
)
LOGINS: Final = Counter("kuaida_logins", "Login attempts by outcome.", ("outcome",))
RATE_LIMITED: Final = Counter(
    "kuaida_rate_limited", "Requests refused by a limit.", ("limit",)
)
RATE_LIMIT_WOULD_REFUSE: Final = Counter(
    "kuaida_rate_limit_would_refuse",
    "Requests that a limit would have refused, in a dry run.",
    ("limit",),
)
LOCK_OUTS: Final = Counter(
    "kuaida_lock_outs", "Devices behind an address locked after failed logins."
)
LIMITED_LOCALLY: Final = Counter(
    "kuaida_limited_locally",
    "Requests counted by their process alone, because Redis was away.",
    ("outcome",),
)
RISK_LOOKS: Final = Counter(
    "kuaida_risk_looks",
    "Users, devices and logins that the behaviour rules looked at, by where.",
    ("where",),
)
RISK_FINDINGS: Final = Counter(
    "kuaida_risk_findings", "Findings of the behaviour rules.", ("rule",)
)
RISK_ACTIONS: Final = Counter(
    "kuaida_risk_actions",
    "Changes of what a user may do, by the new action.",
    ("action",),
)
RISK_RANKS: Final = Counter(
    "kuaida_risk_ranks",
    "Questions to WeChat by its rank, or refused, failed, unknown_user.",
    ("outcome",),
)
BACKLOG_REFUSED: Final = Counter(
    "kuaida_backlog_refused", "Work refused because its lane is full.", ("lane",)
)
IDEMPOTENT: Final = Counter(
    "kuaida_idempotent",
    "Requests under an Idempotency-Key: first, joined, replayed, refused.",
    ("outcome",),
)
SESSIONS_HEALED: Final = Counter(
    "kuaida_sessions_healed", "Sessions found missing in a store and written again."
)
REFRESH_PROOFS: Final = Counter(
    "kuaida_refresh_proofs",
    "Refresh tokens that no stored hash proved, or that one refuted: unproven, forged.",
    ("outcome",),
)
JWT_KEY_FAULTS: Final = Counter(
    "kuaida_jwt_key_faults",
    "Key files of access tokens that could not be read, or not rotated.",
    ("act",),
)

# the user events channel
EVENT_LISTENERS: Final = Gauge(
    "kuaida_event_listeners",
    "Long polls and streams that wait for events now.",
    multiprocess_mode="livesum",
)
EVENTS_DELIVERED: Final = Counter(
    "kuaida_events_delivered", "Events given to listeners: tail or sql.", ("way",)
)
EVENT_RESYNCS: Final = Counter(
    "kuaida_event_resyncs", "Cursors answered with resync, by cause.", ("cause",)
)
EVENT_LISTENERS_REFUSED: Final = Counter(
    "kuaida_event_listeners_refused", "Listeners refused by a limit.", ("limit",)
)
EVENT_FAULTS: Final = Counter(
    "kuaida_event_faults",
    "Events not announced, read or looked for, by part; each costs a poll.",
    ("part",),
)

# wechat
WECHAT_CALLS: Final = Counter(
    "kuaida_wechat_calls", "Calls to WeChat by outcome.", ("path", "errcode")
)
WECHAT_SECONDS: Final = Histogram(
    "kuaida_wechat_seconds", "Time of a WeChat call.", ("path",),
    buckets=_UPSTREAM_BUCKETS,
)  # fmt: skip
BREAKER_OPEN: Final = Gauge(
    "kuaida_wechat_breaker_open",
    "1 while calls to this path are refused locally.",
    ("path",),
    multiprocess_mode="livemax",
)
BREAKER_OPENED: Final = Counter(
    "kuaida_wechat_breaker_opened",
    "Paths shut off: found broken here, heard of from another process, probe failed.",
    ("path", "cause"),
)
WECHAT_REFUSED_FULL: Final = Counter(
    "kuaida_wechat_refused_full",
    "Calls refused because too many of their path were in flight.",
    ("path",),
)
WECHAT_TOKEN_REFRESHES: Final = Counter(
    "kuaida_wechat_token_refreshes", "Access token fetches by outcome.", ("outcome",)
)

# session keys and what was encrypted with them
OPEN_DATA: Final = Counter(
    "kuaida_open_data",
    "Encrypted data by outcome: opened, or the reason.",
    ("outcome",),
)
SESSION_KEY_CHECKS: Final = Counter(
    "kuaida_session_key_checks",
    "What WeChat said of a session_key: alive, swapped, stale, gone.",
    ("verdict",),
)

# calls that WeChat bills
PAID_CALLS: Final = Counter(
    "kuaida_paid_calls", "Billed calls by end: charged, free, unknown.", ("kind", "end")
)
PAID_FEN: Final = Counter(
    "kuaida_paid_fen", "Fen spent on billed calls, unknown ends included.", ("kind",)
)
PAID_CAP: Final = Gauge(
    "kuaida_paid_cap_fen",
    "Fen an app may spend on billed calls in a month.",
    multiprocess_mode="livemax",
)
PAID_REFUSED: Final = Counter(
    "kuaida_paid_refused", "Billed calls not made because of a cap.", ("kind",)
)

# models/engine
DATABASE_CONNECTIONS_LOST: Final = Counter(
    "kuaida_database_connections_lost",
    "Connections to SQL that broke while they were in use.",
)

DATABASE_CUT: Final = Counter(
    "kuaida_database_cut",
    "Waits for SQL that were cut: by the caller's deadline before a statement (late), "
    "within one (statement), for a lock or a connection (lock, pool), by our own "
    "limit of a statement (limit), or because the server said nothing (silent).",
    ("stage",),
)

# models/stores
REDIS_FAILURES: Final = Counter(
    "kuaida_redis_failures", "Calls without a usable reply, by cause.", ("cause",)
)
REDIS_BREAKER_OPEN: Final = Gauge(
    "kuaida_redis_breaker_open",
    "1 while Redis is not asked because it failed repeatedly.",
    multiprocess_mode="livemax",
)
CACHE: Final = Counter(
    "kuaida_cache",
    "Cache reads: hit, miss, negative, error.",
    ("cache", "outcome"),
)

# notifications
NOTIFICATIONS: Final = Counter(
    "kuaida_notifications",
    "Messages by what became of a try, and why: sent, put_off, failed, unknown, "
    "cancelled.",
    ("outcome", "cause"),
)
NOTIFICATION_SECONDS: Final = Histogram(
    "kuaida_notification_seconds",
    "Time from a message's due moment until WeChat took it.",
    buckets=_NOTIFICATION_BUCKETS,
)

# journals and relay
JOURNAL_ADDED: Final = Counter(
    "kuaida_journal_added", "Records written to a journal.", ("journal",)
)
RELAY_SENT: Final = Counter(
    "kuaida_relay_sent", "Records handed to Celery.", ("journal",)
)
RELAY_RESENT: Final = Counter(
    "kuaida_relay_resent", "Records handed over again, unfinished.", ("journal",)
)
RELAY_FAILURES: Final = Counter(
    "kuaida_relay_failures", "Relay rounds that failed, by cause.", ("journal", "cause")
)
OVERTAKEN: Final = Counter(
    "kuaida_outbox_overtaken", "Late copies of work refused by their fencing number."
)
RETRIES_HELD: Final = Counter(
    "kuaida_retries_held", "Retries put off because their app's budget was spent."
)
OUTBOX_DEAD: Final = Counter("kuaida_outbox_dead", "Rows retired after their attempts.")
OUTBOX_EXPIRED: Final = Counter(
    "kuaida_outbox_expired", "Work given up because nobody could use its result."
)
OUTBOX_QUARANTINED: Final = Counter(
    "kuaida_outbox_quarantined", "Rows set aside because processes died of them."
)
LOGINS_POISONED: Final = Counter(
    "kuaida_logins_poisoned", "Login entries set aside because they cannot be stored."
)

# tasks and the clock
TASK_RUNS: Final = Counter(
    "kuaida_task_runs", "Task runs by outcome.", ("task", "outcome")
)
TASK_SECONDS: Final = Histogram(
    "kuaida_task_seconds", "Time of a task run.", ("task",), buckets=_TASK_BUCKETS
)
WORKER_REPLACED: Final = Counter(
    "kuaida_worker_replaced",
    "Workers that heard nothing while work waited.",
    ("queue",),
)
FROZEN_REPLACED: Final = Counter(
    "kuaida_frozen_replaced",
    "Processes killed because they gave no sign of life, counted by their successors.",
    ("process",),
)
WORK_STOPPED: Final = Counter(
    "kuaida_work_stopped", "Stops of a worker that had to break off running work."
)
WORKER_REFUSED: Final = Counter(
    "kuaida_worker_refused", "Messages that are none of ours, by reason.", ("reason",)
)
ENRICHED_BATCH: Final = Histogram(
    "kuaida_enriched_batch", "Logins written by one task.", buckets=_BATCH_BUCKETS
)
SLOT_RUNS: Final = Counter(
    "kuaida_slot_runs", "Slots by what became of them.", ("job", "outcome")
)
BEAT_ASKED: Final = Counter(
    "kuaida_beat_asked", "Questions of beat; unheard: the queue is full.", ("outcome",)
)
BEAT_FAILURES: Final = Counter(
    "kuaida_beat_failures", "Rounds of beat that found no broker."
)

LAST_SIGN_OF_LIFE: Final = Gauge(
    "kuaida_last_sign_of_life_seconds",
    "When a process's main loop last turned, in seconds since the epoch.",
    ("process",),
    # The newest of all instances, also of those that ended: silence is the fault.
    multiprocess_mode="max",
)

LOGINS_OUTLASTED: Final = Counter(
    "kuaida_logins_outlasted",
    "Exchanges of a login code that went on when their caller had no more time.",
)
SECURITY_EVENTS: Final = Counter(
    "kuaida_security_events",
    "Events of an account's safety: reuse, new devices, bans, conflicts.",
    ("kind",),
)
GUESTS: Final = Counter(
    "kuaida_guests",
    "Guests: opened; at login upgraded, linked to a known user, found taken, refused.",
    ("outcome",),
)
STANDINGS: Final = Counter(
    "kuaida_standings",
    "Standings of users: asked of SQL by a login, loaded after Redis forgot, put.",
    ("how",),
)

# Present from the start: an alert on a series that does not exist yet is silent.
for _outcome in ("first", "joined", "replayed", "refused"):
    IDEMPOTENT.labels(_outcome)
for _journal in ("logins", "outbox"):
    for _counter in (RELAY_SENT, RELAY_RESENT):
        _counter.labels(_journal)
for _queue in Queue:
    WORKER_REPLACED.labels(_queue.value)
for _process in (*READERS, "relay", "beat"):
    FROZEN_REPLACED.labels(_process)
for _stage in ("late", "statement", "lock", "pool", "limit", "silent"):
    DATABASE_CUT.labels(_stage)
NOTIFICATIONS.labels("unknown", "timeout")
for _outcome in ("refused", "failed"):
    RISK_RANKS.labels(_outcome)
for _action in ("slow", "verify", "block"):
    RISK_ACTIONS.labels(_action)
for _end in ("charged", "free", "unknown"):
    PAID_CALLS.labels("phone", _end)
PAID_REFUSED.labels("phone")
WECHAT_TOKEN_REFRESHES.labels("failed")
HTTP_ERRORS.labels("overloaded")
for _outcome in ("unproven", "forged"):
    REFRESH_PROOFS.labels(_outcome)
for _reason in ("unknown task", "bad message"):
    WORKER_REFUSED.labels(_reason)
for _job in SCHEDULE:
    for _outcome in ("missed", "failed"):
        SLOT_RUNS.labels(_job.name, _outcome)
