"""What is counted of requests and their answers; see `web/request_metrics.py`."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Histogram

# Edges follow the promises: 1-60 ms for our own work, up to the longest deadline.
_REQUEST_BUCKETS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.06, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0,
)  # fmt: skip
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
IDEMPOTENT: Final = Counter(
    "kuaida_idempotent",
    "Requests under an Idempotency-Key: first, joined, replayed, refused.",
    ("outcome",),
)

# Present from the start: see the package.
for _outcome in ("first", "joined", "replayed", "refused"):
    IDEMPOTENT.labels(_outcome)
HTTP_ERRORS.labels("overloaded")
