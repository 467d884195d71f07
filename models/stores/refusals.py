"""Refusals one by one, for whoever asks later why a request was refused.

The scripts of `models/stores/admission.py` keep those of limits and lock-outs in the
round trip that refuses; `note` adds what is refused behind them. A line tells ids and
the bucket's rule, never an address. Read by `web/services/timeline.py`.

Redis away: every method raises `RedisUnavailable`. What a process refuses alone then
(`web/services/local_buckets.py`) stands in its log only, under the request's id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from config.clock import MS_PER_S
from models.stores.keys import (
    LOCK_OUT,
    REFUSALS_LIFE_S,
    REFUSALS_SHARE,
    REFUSALS_SHARE_S,
    REFUSED_LIFE_S,
    REFUSED_MOST,
)
from models.stores.scripts import load_script

if TYPE_CHECKING:
    from collections.abc import Iterator

    from config.limit_settings import LimitSettings
    from models.stores.connection import SharedPipeline
    from models.stores.keys import Keys
    from models.stores.lane import Argument

NOTE_REFUSAL = load_script("note_refusal")
# Lines of one round trip: some 200 kB.
PAGE = 1000


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """What a line tells of a request; ``rules`` are those of its buckets, in order."""

    request_id: str
    user_id: str = ""
    device_id: str = ""
    app_id: str = ""
    route: str = ""
    rules: list[str] = []
    dry: bool = False


class Refusal(NamedTuple):
    """Why a request was refused, and when (epoch ms); ``rule`` is that of a limit.

    In a ``dry`` run it would have been. ``asked`` has the ids, empty if not known.
    """

    at: int
    asked: Asked
    reason: str
    rule: str = ""
    retry_after_ms: int = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Asked).decode


class RefusalBook:
    """What the scripts are told so that they can keep a refusal."""

    def __init__(self, keys: Keys, limits: LimitSettings) -> None:
        self.keys = (keys.refused, keys.refusals, keys.refusal_shares)
        tally = REFUSED_LIFE_S * MS_PER_S, REFUSED_MOST
        lines = limits.refusals_kept, REFUSALS_LIFE_S * MS_PER_S
        share = REFUSALS_SHARE, REFUSALS_SHARE_S * MS_PER_S
        self._rules = " ".join(map(str, (*tally, *lines, *share)))

    def arguments(self, asked: Asked) -> tuple[Argument, Argument]:
        """Return the rules of the book, and what a line says of the request."""
        return self._rules, _encode(asked)


class RefusalStore:
    """The lines of all processes."""

    def __init__(
        self, redis: SharedPipeline, keys: Keys, limits: LimitSettings
    ) -> None:
        self._redis = redis
        self._book = RefusalBook(keys, limits)

    def note(self, asked: Asked, reason: str, whose: str) -> None:
        """Keep a refusal that no limit made; it counts to the share of ``whose``."""
        _, *names = self._book.keys
        arguments = self._book.arguments(asked)
        self._redis.run(NOTE_REFUSAL, names, [*arguments, whose, reason])

    def find(self, name: str, limit: int) -> list[Refusal]:
        """Return the newest lines of a request, user or device, newest first."""
        found: list[Refusal] = []
        for refusal in self._newest_first():
            asked = refusal.asked
            if name in {asked.request_id, asked.user_id, asked.device_id}:
                found.append(refusal)
                if len(found) == limit:
                    break
        return found

    def _newest_first(self) -> Iterator[Refusal]:
        last = "+"
        while True:
            lines = self._redis.execute(
                "XREVRANGE", self._book.keys[1], last, "-", "COUNT", PAGE
            )
            for name, fields in lines:
                yield _read(name, dict(zip(fields[::2], fields[1::2], strict=True)))
            if len(lines) < PAGE:
                return
            last = "(" + lines[-1][0].decode()


def _read(name: bytes, fields: dict[bytes, bytes]) -> Refusal:
    asked, what = _decode(fields[b"about"]), fields[b"what"].decode()
    at, wait_ms = int(name.partition(b"-")[0]), int(fields[b"wait"])
    if what == "-1":
        return Refusal(at, asked, "locked_out", LOCK_OUT, wait_ms)
    if what.isdecimal():
        rule = asked.rules[int(what) - 1]
        return Refusal(at, asked, "rate_limited", rule, wait_ms)
    return Refusal(at, asked, what)
