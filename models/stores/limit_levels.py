"""What the limits hold against somebody now: for people who ask why, and who let go.

Reads what `models/stores/admission.py` writes. Redis away: every method raises
`RedisUnavailable`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from config.limit_settings import CLASSES, Rule
from models.stores.keys import parts_of_bucket

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from config.limit_settings import LimitSettings
    from models.behaviour_figures import Subject
    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys

Place = tuple[str, str]


class BucketLevel(msgspec.Struct, frozen=True):
    """How many requests a bucket has left at this moment."""

    rule: str
    burst: int
    refill_per_s: float
    level: float


class LockOut(msgspec.Struct, frozen=True):
    """Refused logins of a device behind an address; locked while a wait is left."""

    ip: str
    device_id: str
    failures: float
    retry_after_ms: int


class Refused(msgspec.Struct, frozen=True):
    """How often a limit refused somebody, within the last hour at most."""

    rule: str
    subject: str
    count: int


class LimitLevels:
    """Buckets, lock-outs and the tally of the refused."""

    def __init__(
        self, redis: SharedPipeline, keys: Keys, limits: LimitSettings
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._limits = limits

    def list_levels(
        self, subject: Subject, shares: Mapping[str, float]
    ) -> list[BucketLevel]:
        """Return the subject's own buckets as they are in force, untouched ones full.

        ``shares`` are what is left of some, by rule, to who is slowed or watched.
        """
        names = [f"{limit_class}.{subject.kind}" for limit_class in CLASSES]
        known = {n: self._limits.rules[n] for n in names if n in self._limits.rules}
        rules = {name: _shrunk(rule, shares.get(name)) for name, rule in known.items()}
        if not rules:
            return []
        keys = [self._keys.bucket(name, subject.id) for name in rules]
        time, stored = self._redis.execute_many([("TIME",), ("MGET", *keys)])
        return [
            BucketLevel(name, rule.burst, rule.refill_per_s, _level(raw, rule, time))
            for (name, rule), raw in zip(rules.items(), stored, strict=True)
        ]

    def list_failing(self, name: str) -> list[Place]:
        """Return where logins failed lately, of this device or from this address."""
        told = self._redis.execute("ZRANGE", self._keys.failing, 0, -1)
        pairs = [member.decode().partition("\n")[::2] for member in told]
        return [(ip, device) for ip, device in pairs if name in (ip, device)]

    def list_lock_outs(self, places: Sequence[Place]) -> list[LockOut]:
        """Return what is counted against these pairs of address and device."""
        if not places:
            return []
        commands: list[tuple[str, ...]] = [("TIME",)]
        for place in places:
            commands.append(("PTTL", self._keys.locked(*place)))
            commands.append(("GET", self._keys.failures(*place)))
        time, *replies = self._redis.execute_many(commands)
        counts = [self._failures(raw, time) for raw in replies[1::2]]
        found = zip(places, replies[::2], counts, strict=True)
        return [
            LockOut(*place, count, max(0, wait_ms))
            for place, wait_ms, count in found
            if wait_ms > 0 or count
        ]

    def lift_lock_outs(self, places: Sequence[Place]) -> None:
        """Forget the failures of these pairs and open their locks."""
        names = [self._keys.locked(*place) for place in places]
        names += [self._keys.failures(*place) for place in places]
        if names:
            self._redis.execute("DEL", *names)

    def list_refused(self, limit: int) -> list[Refused]:
        """Return who was refused most, also in a dry run."""
        told = self._redis.execute(
            "ZREVRANGE", self._keys.refused, 0, limit - 1, "WITHSCORES"
        )
        pairs = zip(told[::2], told[1::2], strict=True)
        return [
            Refused(*parts_of_bucket(name.decode()), int(float(count)))
            for name, count in pairs
        ]

    def _failures(self, raw: bytes | None, time: list[bytes]) -> float:
        if raw is None:
            return 0.0
        rule, (count, at) = self._limits.login_failures, _pair(raw)
        faded = (_now(time) - at) / 1000 * rule.count / rule.lock_s
        return round(max(0.0, count - max(0.0, faded)), 3)


def _shrunk(rule: Rule, share: float | None) -> Rule:
    """Return what `buckets.lua` makes of a bucket that has only a share."""
    if share is None:
        return rule
    return Rule(max(1, int(rule.burst * share)), rule.refill_per_s * share)


def _level(raw: bytes | None, rule: Rule, time: list[bytes]) -> float:
    if raw is None:
        return float(rule.burst)
    tokens, at = _pair(raw)
    refilled = max(0.0, _now(time) - at) / 1000 * rule.refill_per_s
    return round(min(float(rule.burst), tokens + refilled), 3)


def _pair(raw: bytes) -> tuple[float, float]:
    count, _, at = raw.partition(b":")
    return float(count), float(at)


def _now(time: list[bytes]) -> float:
    return int(time[0]) * 1000 + int(time[1]) / 1000
