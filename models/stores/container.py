"""All Redis stores of one process, opened together from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from config.clock import MS_PER_S
from config.metrics.events import EVENT_FAULTS
from models.errors import RedisUnavailable
from models.sealing import IdentityHasher, sealer_for
from models.stores.access_tokens import AccessTokenStore
from models.stores.admission import AdmissionStore
from models.stores.behaviour import BehaviourStore
from models.stores.cache import UserCache
from models.stores.connection import SharedPipeline
from models.stores.event_stream import EventStream
from models.stores.keys import Keys
from models.stores.late_writes import LateWrites
from models.stores.limit_levels import LimitLevels
from models.stores.locks import LockStore
from models.stores.login_stream import LoginStream
from models.stores.refusals import RefusalStore
from models.stores.retry_budget import RetryBudget
from models.stores.session_list import SessionListStore
from models.stores.sessions import SessionStore
from models.stores.shut_paths import ShutPaths
from models.stores.signals import SignalStore
from models.stores.standings import StandingStore, check_of
from models.stores.wechat_keys import KeyLives, WeChatKeyStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.settings import Settings
    from models.user_events import NumberedEvent


REDIS_SCHEMES = ("redis://", "rediss://")
# The signal that the outbox has work.
WORK = "outbox"


class Stores:
    """The stores by purpose; one object a process, opened after any fork."""

    def __init__(self, settings: Settings) -> None:
        self.keys = Keys(settings.redis.prefix)
        self.redis = SharedPipeline(settings.redis, check_of(self.keys))
        shared = (self.redis, self.keys)
        self.late = LateWrites(self.redis)
        self.admission = AdmissionStore(*shared, settings.limits, settings.risk)
        self.refusals = RefusalStore(*shared, settings.limits)
        self.behaviour = BehaviourStore(*shared)
        self.limit_levels = LimitLevels(*shared, settings.limits)
        self.wechat_keys = WeChatKeyStore(
            *shared,
            sealer=sealer_for(settings.secrets, "wechat-key"),
            hasher=IdentityHasher(settings.secrets.id_key),
            lives=KeyLives(
                settings.private.previous_key_s * MS_PER_S,
                settings.private.contested_key_s * MS_PER_S,
                settings.private.verdict_s * MS_PER_S,
            ),
        )
        self.sessions = SessionStore(
            *shared,
            self.wechat_keys,
            longest_ms=settings.tokens.session_max_s * MS_PER_S,
        )
        self.session_list = SessionListStore(*shared)
        self.users = UserCache(
            *shared,
            life_s=settings.journal.user_cache_s,
            negative_s=settings.journal.negative_cache_s,
        )
        self.locks = LockStore(*shared)
        self.standings = StandingStore(
            *shared, look_back_ms=settings.redis.look_back_s * MS_PER_S
        )
        self.retry_budget = RetryBudget(*shared, settings.journal.retry_budget)
        token_sealer = sealer_for(settings.secrets, "access-token")
        self.access_tokens = AccessTokenStore(*shared, token_sealer, self.locks)
        self.shut_paths = ShutPaths(*shared)
        self.login_stream = LoginStream(*shared, settings.redis)
        self.event_stream = EventStream(
            *shared, settings.redis, length=settings.events.tail_length
        )
        self.signals = SignalStore(*shared, settings.redis, settings.journal.poll_s)
        # Celery's lists may live in another Redis than our own data, or in no Redis.
        self._broker: SharedPipeline | None = None
        if settings.redis.broker_url.startswith(REDIS_SCHEMES):
            broker = {"url": settings.redis.broker_url}
            self._broker = SharedPipeline(settings.redis.model_copy(update=broker))

    def ping(self) -> None:
        """Raise `RedisUnavailable` unless Redis answers."""
        self.redis.execute("PING")

    def memory_share(self) -> float:
        """Return which part of its memory Redis uses, 0 when it has no limit."""
        fields = dict(
            line.split(":", 1)
            for line in _text(self.redis.execute("INFO", "memory")).splitlines()
            if ":" in line
        )
        limit = int(fields.get("maxmemory", 0))
        return int(fields["used_memory"]) / limit if limit else 0.0

    def wake_relay(self) -> None:
        """Tell a waiting relay that the outbox has work; lost signals cost a poll."""
        self.signals.send(WORK)

    def announce(self, events: Sequence[NumberedEvent]) -> None:
        """Tell whoever listens to these users; lost words cost a poll."""
        try:
            self.event_stream.announce(events)
        except RedisUnavailable:
            EVENT_FAULTS.labels("announce").inc()

    def wait_for_work(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for `wake_relay`; True when it came."""
        return self.signals.wait(WORK, seconds)

    def queue_lengths(self, names: Sequence[str]) -> dict[str, int]:
        """Return how many messages wait in each of the broker's lists.

        Empty for a broker that is no single Redis: ask that broker itself.
        """
        if self._broker is None:
            return {}
        replies = self._broker.execute_many([("LLEN", name) for name in names])
        return dict(zip(names, map(int, replies), strict=True))

    def close(self) -> None:
        """Close every connection."""
        self.redis.close()
        if self._broker is not None:
            self._broker.close()
        self.login_stream.close()
        self.event_stream.close()
        self.signals.close()


def open_stores(settings: Settings) -> Stores:
    """Return the stores of this process; nothing is connected before first use."""
    return Stores(settings)


def _text(reply: Any) -> str:  # noqa: ANN401 (a reply of Redis)
    return reply.decode() if isinstance(reply, bytes) else str(reply)
