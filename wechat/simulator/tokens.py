"""The access tokens of one app in the simulator: a classic and a stable pool.

`token_api` hands them out and `engine` checks them; times are the simulator's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from random import Random

from config.clock import DAY_MS
from wechat.simulator.quotas import CHINA_MS, Window
from wechat.simulator.wire import Refused

LIFE_MS = 7200 * 1000
OVERLAP_MS = 300 * 1000
FORCE_GAP_MS = 30 * 1000
FORCE_A_DAY = 20
_WELL_FORMED = re.compile(r"[0-9]{1,3}_[A-Za-z0-9_-]{20,600}")
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass(slots=True)
class Issued:
    """One token: when it ends by age, and when it was killed early, if it was."""

    token: str
    expires_ms: int
    dead_ms: int | None = None


@dataclass(slots=True)
class TokenPools:
    """Both kinds of token of one app; the kinds do not disturb each other."""

    rng: Random
    stable: Issued | None = None
    classic: Issued | None = None
    issued: dict[str, Issued] = field(default_factory=dict)
    forced_at_ms: int | None = None
    forced: Window = field(default_factory=lambda: Window(DAY_MS, CHINA_MS))

    def give_classic(self, now: int) -> tuple[str, int]:
        """Make a new token; the former one works five minutes longer."""
        if self.classic is not None:
            self.classic.dead_ms = now + OVERLAP_MS
        self.classic = self._issue(now)
        return self.classic.token, LIFE_MS // 1000

    def give_stable(self, now: int) -> tuple[str, int]:
        """Return the living token with its remaining life; renew near its end."""
        if self.stable is None or self.stable.expires_ms - now <= OVERLAP_MS:
            self.stable = self._issue(now)
        return self.stable.token, (self.stable.expires_ms - now) // 1000

    def force_stable(self, now: int) -> tuple[str, int]:
        """Kill the token and make a new one; 30 s apart, 20 a day."""
        last = self.forced_at_ms
        if last is not None and now - last < FORCE_GAP_MS:
            raise Refused(45011, "api minute-quota reach limit, must slower")
        if self.forced.hit("forced", now) > FORCE_A_DAY:
            raise Refused(45009, "reach max api daily quota limit")
        self.forced_at_ms = now
        if self.stable is not None:
            self.stable.dead_ms = now
        self.stable = self._issue(now)
        return self.stable.token, LIFE_MS // 1000

    def _issue(self, now: int) -> Issued:
        tail = "".join(self.rng.choices(_ALPHABET, k=110))
        made = Issued(f"87_{tail}", now + LIFE_MS)
        # A week-old token is unknown again; nothing grows for ever.
        self.issued = {
            k: v for k, v in self.issued.items() if now - v.expires_ms < 7 * DAY_MS
        }
        self.issued[made.token] = made
        return made


def check_token(pools: list[tuple[str, TokenPools]], token: str, now: int) -> str:
    """Return the app id whose living token this is, or refuse as WeChat does."""
    if not token:
        raise Refused(41001, "access_token missing")
    if not _WELL_FORMED.fullmatch(token):
        raise Refused(40014, "invalid access_token")
    for app_id, pool in pools:
        found = pool.issued.get(token)
        if found is None:
            continue
        if found.dead_ms is not None and now >= found.dead_ms:
            break
        if now >= found.expires_ms:
            raise Refused(42001, "access_token expired")
        return app_id
    raise Refused(40001, "invalid credential, access_token is invalid or not latest")
