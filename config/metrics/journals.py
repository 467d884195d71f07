"""What is counted of the two journals and the relay that empties them."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Histogram

_BATCH_BUCKETS: Final = (1, 2, 5, 10, 25, 50, 100, 200, 500)
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
LEASES_NOT_RENEWED: Final = Counter(
    "kuaida_leases_not_renewed",
    "Renewals that failed, and running work that is renewed no more, by cause.",
    ("cause",),
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
ENRICHED_BATCH: Final = Histogram(
    "kuaida_enriched_batch", "Logins written by one task.", buckets=_BATCH_BUCKETS
)

# Present from the start: see the package.
for _journal in ("logins", "outbox"):
    for _counter in (RELAY_SENT, RELAY_RESENT):
        _counter.labels(_journal)
for _cause in ("database", "too long"):
    LEASES_NOT_RENEWED.labels(_cause)
