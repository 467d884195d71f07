"""Everything the simulated WeChat remembers: apps, users, codes, logs, rules, time.

The API handlers read and change it, `control` sets it up; nothing is written to disk.
"""

from __future__ import annotations

import base64
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Literal

from config.clock import DAY_MS, MINUTE_MS, now_ms
from wechat.simulator.faults import Faults
from wechat.simulator.quotas import CHINA_MS, Window
from wechat.simulator.tokens import TokenPools

CODE_LIFE_MS: Final = 300 * 1000
_LOG_LENGTH = 200_000
_EVENTS_WAITING = 10_000

CodeKind = Literal["login", "phone"]


@dataclass(slots=True)
class SimApp:
    """One mini-program: its console settings and its tokens."""

    app_id: str
    secret: str = field(repr=False)
    push_token: str = field(default="", repr=False)
    encoding_aes_key: str = field(default="", repr=False)
    pools: TokenPools = field(default_factory=lambda: TokenPools(Random()))  # noqa: S311


@dataclass(slots=True)
class SimUser:
    """One user of one app, with the grants given in the subscribe popup."""

    openid: str
    app_id: str
    unionid: str | None = None
    nickname: str = "微信用户"
    phone: str = ""
    risk_rank: int = 0
    session_key: str | None = None
    session_ends_ms: int = 0
    next_session_key: str | None = None
    opened_ms: int = 0
    grants: dict[str, int] = field(default_factory=dict)
    long_term: set[str] = field(default_factory=set)


@dataclass(slots=True)
class SimCode:
    """A login or phone code: single use, five minutes, one app, one kind."""

    openid: str
    app_id: str
    kind: CodeKind
    expires_ms: int
    used: bool = False


@dataclass(slots=True)
class Delivery:
    """One send call that reached us, with what became of it."""

    at: int
    openid: str
    template_id: str
    body: Any
    outcome: Literal["delivered", "refused", "dropped"] = "dropped"
    errcode: int | None = None
    msgid: int | None = None


@dataclass(frozen=True, slots=True)
class PushEvent:
    """An event for the backend, due after ``delay_ms``."""

    app_id: str
    openid: str
    message: dict[str, Any]
    delay_ms: int


@dataclass(slots=True)
class SimRules:
    """The switches of the simulator; the defaults are what WeChat does.

    ``pages`` None takes every well-formed page for released; ``event_delay_ms`` is
    the time from an accepted send to its result event.
    """

    rotate_chance: float = 1.0
    session_key_s: int = 259_200
    logins_per_minute: int = 100
    refuse_escapes: bool = True
    pages: tuple[str, ...] | None = None
    event_delay_ms: int = 100
    push_attempts: int = 3


class SimState:
    """The whole memory; ``reset`` empties it and keeps the configured apps."""

    def __init__(self, apps: Iterable[SimApp], *, seed: int | None = None) -> None:
        self.apps = {app.app_id: app for app in apps}
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Forget users, codes, tokens, faults, logs, counts and time travel."""
        self.rng = Random(self._seed)  # noqa: S311 -- test data, not secrets
        self.offset_ms = 0
        self.rules = SimRules()
        self.faults = Faults()
        self.users: dict[str, SimUser] = {}
        self.codes: dict[str, SimCode] = {}
        self._code_ends: deque[tuple[int, str]] = deque()
        self.calls: Counter[str] = Counter()
        self.deliveries: deque[Delivery] = deque(maxlen=_LOG_LENGTH)
        self.events: deque[PushEvent] = deque(maxlen=_EVENTS_WAITING)
        self.minute = Window(MINUTE_MS)
        self.day = Window(DAY_MS, CHINA_MS)
        self.sending: Counter[str] = Counter()
        self._made = 0
        for app in self.apps.values():
            app.pools = TokenPools(self.rng)

    def now(self) -> int:
        """Return the simulator's time: ours plus the travelled part."""
        return now_ms() + self.offset_ms

    def pools(self) -> list[tuple[str, TokenPools]]:
        """Return the token pools of all apps with their app ids."""
        return [(app.app_id, app.pools) for app in self.apps.values()]

    def number(self) -> int:
        """Return the next number of this world, for ids of any kind."""
        self._made += 1
        return self._made

    def make_code(self, user: SimUser, kind: CodeKind) -> str:
        """Issue a code for ``user``, as the phone's WeChat would."""
        now = self.now()
        while self._code_ends and self._code_ends[0][0] <= now:
            self.codes.pop(self._code_ends.popleft()[1], None)
        code = f"0{self.number():07x}{self.rng.getrandbits(96):024x}"
        ends = now + CODE_LIFE_MS
        self.codes[code] = SimCode(user.openid, user.app_id, kind, ends)
        self._code_ends.append((ends, code))
        return code

    def new_session_key(self) -> str:
        """Return a fresh session_key: base64 of 16 bytes."""
        return base64.b64encode(self.rng.randbytes(16)).decode("ascii")

    def message_id(self) -> int:
        """Return a 64-bit id above 2**53, where floats lose digits."""
        return 3_000_000_000_000_000_000 + self.number()
