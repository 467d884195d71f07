"""What is counted of the user events channel and its listeners."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

EVENT_LISTENERS: Final = Gauge(
    "kuaida_event_listeners",
    "Long polls and streams that wait for events now.",
    multiprocess_mode="livesum",
)
EVENT_LISTENERS_REFUSED: Final = Counter(
    "kuaida_event_listeners_refused", "Listeners refused by a limit.", ("limit",)
)
EVENTS_DELIVERED: Final = Counter(
    "kuaida_events_delivered", "Events given to listeners: tail or sql.", ("way",)
)
EVENT_RESYNCS: Final = Counter(
    "kuaida_event_resyncs", "Cursors answered with resync, by cause.", ("cause",)
)
EVENT_FAULTS: Final = Counter(
    "kuaida_event_faults",
    "Events not announced, read or looked for, by part; each costs a poll.",
    ("part",),
)
