"""Implementations of the seams of `wechat`: a token shelf and a scripted transport."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from config.clock import Deadline
from models.errors import RedisUnavailable
from wechat.access_token import AccessTokens
from wechat.breaker import Breaker, BreakerPolicy
from wechat.breakers import Breakers
from wechat.calls import Caller, CallLimits, Observer
from wechat.client import App, BusyPolicy, WeChatClient
from wechat.errors import WeChatError
from wechat.token_store import HeldToken, StoredToken, TokenPolicy
from wechat.transport import Answer, Transport

APP_ID = "wxdemo0000000001"
SECRET = "s3cret-of-the-demo-app"
LIMITS = CallLimits(5.0)
POLICY = TokenPolicy(300.0, poll_s=0.001, wait_s=0.05, backoff_s=1.0)


class Unobserved:
    """The observer that takes no note."""

    def called(self, path: str, outcome: str, seconds: float) -> None:
        """Do nothing."""

    def refreshed(self, outcome: str) -> None:
        """Do nothing."""


def soon(milliseconds: float = 60_000) -> Deadline:
    """Return a deadline that a healthy call never meets."""
    return Deadline.after_ms(milliseconds)


class MemoryTokens:
    """A token shelf in memory that keeps the rules of the one in Redis."""

    def __init__(self) -> None:
        self.stored: StoredToken | None = None
        self.leased: int | None = None
        self.away = False
        self.asked: set[str] = set()
        self.forced: Counter[str] = Counter()
        self.ttl_s = 0.0
        self._fence = 0

    def _ask(self, app_id: str) -> None:
        self.asked.add(app_id)
        if self.away:
            raise RedisUnavailable

    def load(self, app_id: str) -> StoredToken | None:
        self._ask(app_id)
        return self.stored

    def save(self, app_id: str, token: str, expires_at_ms: int, fence: int) -> bool:
        self._ask(app_id)
        if self.stored is not None and self.stored.fence > fence:
            return False
        self.stored = HeldToken(token, expires_at_ms, fence)
        return True

    def lease(self, app_id: str, ttl_s: float) -> int | None:
        self._ask(app_id)
        if self.leased is not None:
            return None
        self._fence += 1
        self.leased, self.ttl_s = self._fence, ttl_s
        return self._fence

    def release(self, app_id: str, fence: int) -> None:
        self._ask(app_id)
        if self.leased == fence:
            self.leased = None

    def count_forced(self, app_id: str, day: str) -> int:
        self._ask(app_id)
        self.forced[day] += 1
        return self.forced[day]


class MemoryShare:
    """The share of breakers in memory, on a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: dict[str, float] = {}
        self.looks = 0
        self.away = False

    def _ask(self) -> None:
        if self.away:
            raise RedisUnavailable

    def clock(self) -> float:
        return self.now

    def look(self) -> dict[str, float]:
        self.looks += 1
        self._ask()
        return {path: max(0.0, due - self.now) for path, due in self.due.items()}

    def shut(self, path: str, seconds: float) -> None:
        self._ask()
        self.due[path] = self.now + seconds

    def take_probe(self, path: str, hold_s: float) -> float | None:
        self._ask()
        due = self.due.get(path)
        if due is None or due > self.now:
            return None if due is None else due - self.now
        self.due[path] = self.now + hold_s
        return 0

    def open(self, path: str) -> None:
        self._ask()
        self.due.pop(path, None)


@dataclass
class Sent:
    """One request as a scripted transport saw it."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes | None
    deadline: Deadline


@dataclass
class ScriptedTransport:
    """Gives the next scripted answer; an exception in the script is raised."""

    script: list[Answer | WeChatError]
    sent: list[Sent] = field(default_factory=list)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        body: bytes | None,
        deadline: Deadline,
    ) -> Answer:
        self.sent.append(Sent(method, path, query, body, deadline))
        step = self.script.pop(0)
        if isinstance(step, WeChatError):
            raise step
        return step

    def close(self) -> None:
        self.script.clear()


def says(**fields: object) -> Answer:
    """Return HTTP 200 with these JSON fields."""
    return Answer(200, orjson.dumps(fields))


def make_caller(
    transport: Transport,
    *,
    failures: int = 100,
    observer: Observer | None = None,
    limits: CallLimits = LIMITS,
) -> Caller:
    """Return a caller whose breakers open after ``failures``."""
    share, policy = MemoryShare(), BreakerPolicy(failures, open_s=60, probe_s=60)
    breakers = Breakers(
        lambda path: Breaker(path, policy, share=share), share, look_s=60
    )
    return Caller(
        transport, limits, breakers=breakers, observer=observer or Unobserved()
    )


def make_client(
    transport: Transport, store: MemoryTokens | None = None, *, retries: int = 1
) -> WeChatClient:
    """Return the demo app's client over ``transport``."""
    caller = make_caller(transport)
    shelf = store or MemoryTokens()
    tokens = AccessTokens((APP_ID, SECRET), caller, shelf, policy=POLICY)
    busy = BusyPolicy(retries, 0.001)
    return WeChatClient(App(APP_ID, SECRET), caller, tokens, busy=busy)
