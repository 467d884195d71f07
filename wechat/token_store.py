"""What `access_token` needs of the shared shelf; `models.stores` holds the real one.

Protocols, since imports go down: the store below cannot know the types up here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class StoredToken(Protocol):
    """A token, the end of its life in epoch ms, and the fence of its refresher."""

    @property
    def token(self) -> str:
        """The access token, in clear."""

    @property
    def expires_at_ms(self) -> int:
        """The end of its life, epoch milliseconds."""

    @property
    def fence(self) -> int:
        """The number of the lease under which it was stored."""


class TokenStore(Protocol):
    """The shared shelf for tokens; every method may raise RedisUnavailable."""

    def load(self, app_id: str) -> StoredToken | None:
        """Return the stored token, or None."""

    def save(self, app_id: str, token: str, expires_at_ms: int, fence: int) -> bool:
        """Store; False when a refresher with a newer fence already stored."""

    def lease(self, app_id: str, ttl_s: float) -> int | None:
        """Become the only refresher: a fence number, or None when another one is."""

    def release(self, app_id: str, fence: int) -> None:
        """Give the lease back, if it is still ours."""

    def count_forced(self, app_id: str, day: str) -> int:
        """Count one forced refresh and return how many this day has had."""


@dataclass(frozen=True, slots=True)
class HeldToken:
    """A token as one process holds it; its repr never shows the token."""

    token: str = field(repr=False)
    expires_at_ms: int
    fence: int


@dataclass(frozen=True, slots=True)
class TokenPolicy:
    """When to refresh and how long to wait, in seconds."""

    margin_s: float
    lease_s: float = 10.0
    poll_s: float = 0.05
    wait_s: float = 2.0
    backoff_s: float = 1.0
    backoff_max_s: float = 60.0
