"""Figures of behaviour: written by admission in its own round trip, read by the rules.

One packed row for each user and each device that is followed; `lua/behaviour.lua`
says how it fades. Redis away: every method of the store raises `RedisUnavailable`.
"""

from __future__ import annotations

import struct
from math import sqrt
from typing import TYPE_CHECKING

from models.behaviour_figures import Behaviour, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys

# As `lua/behaviour.lua` packs it.
ROW = struct.Struct("<d9f")


class BehaviourStore:
    """Who is busy, what they do, and which devices are watched."""

    def __init__(self, redis: SharedPipeline, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    def list_busy(self, limit: int) -> list[Subject]:
        """Return who became busy and was not looked at yet, the longest ago first."""
        names = self._redis.execute("ZRANGE", self._keys.busy, 0, limit - 1)
        return [_subject(name.decode()) for name in names]

    def looked_at(self, subjects: Sequence[Subject]) -> None:
        """Forget that these are busy; with their next request they are again."""
        if subjects:
            names = [f"{subject.kind}:{subject.id}" for subject in subjects]
            self._redis.execute("ZREM", self._keys.busy, *names)

    def find(self, subjects: Sequence[Subject]) -> list[Behaviour]:
        """Return what each of them does; nothing of those who have been quiet."""
        if not subjects:
            return []
        names = [self._keys.figures(*subject) for subject in subjects]
        return [_behaviour(row) for row in self._redis.execute("MGET", *names)]

    def watch(self, lives: Mapping[str, int]) -> None:
        """Put devices on the watch list, each for its milliseconds."""
        if lives:
            self._redis.execute_many(
                [
                    ("SET", self._keys.watched(device), "1", "PX", max(1, life_ms))
                    for device, life_ms in sorted(lives.items())
                ]
            )

    def unwatch(self, device_id: str) -> None:
        """Take a device off the watch list."""
        self._redis.execute("DEL", self._keys.watched(device_id))

    def watched_ms(self, device_id: str) -> int:
        """Return how long the device stays on the watch list, 0 when it is not."""
        return max(0, int(self._redis.execute("PTTL", self._keys.watched(device_id))))


def _subject(name: str) -> Subject:
    kind, _, subject_id = name.partition(":")
    return Subject("user" if kind == "user" else "device", subject_id)


def _behaviour(row: bytes | None) -> Behaviour:
    if row is None:
        return Behaviour()
    _, requests, gaps, total, squares, misses, hops, _, turns, _ = ROW.unpack(row)
    mean = total / gaps if gaps else 0.0
    # Floats may put a metronome's variance a little below nothing.
    spread = sqrt(max(0.0, squares / gaps - mean * mean)) if gaps else 0.0
    return Behaviour(
        requests=requests,
        gaps=gaps,
        mean_gap_s=mean,
        variation=spread / mean if mean else 0.0,
        misses=misses,
        hops=hops,
        turns=turns,
    )
