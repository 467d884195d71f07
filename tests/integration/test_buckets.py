"""Token buckets in Lua beside the same bucket in plain Python, knock by knock."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, reject
from hypothesis import settings as run_settings
from hypothesis import strategies as st

from config.clock import sleep
from models.base import new_id
from models.errors import Limited
from models.stores.admission import Admission, Caller

if TYPE_CHECKING:
    from models.stores.container import Stores

MakeStores = Any


class Bucket:
    """The same token bucket in plain Python, on the times that Redis kept."""

    def __init__(self, burst: int, refill_per_s: float, now: int) -> None:
        self.burst = burst
        self.refill = refill_per_s / 1000
        self.tokens = float(burst)
        self.at = now

    def level(self, now: int) -> float:
        return min(self.burst, self.tokens + max(0, now - self.at) * self.refill)

    def take(self, now: int) -> None:
        # Redis keeps millionths.
        self.tokens, self.at = float(f"{self.level(now) - 1:.6f}"), now


@run_settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    rates=st.lists(
        st.tuples(st.integers(1, 6), st.sampled_from([0.001, 0.5, 20.0, 1000.0])),
        min_size=1,
        max_size=3,
    ),
    knocks=st.lists(st.sampled_from([0, 0, 0, 3, 40]), min_size=1, max_size=25),
)
def test_buckets_are_exact(
    open_with: MakeStores, rates: list[tuple[int, float]], knocks: list[int]
) -> None:
    names = ["read.ip", "read.user", "read.device"][: len(rates)]
    rules = {name: f"{b}/{r}" for name, (b, r) in zip(names, rates, strict=True)}
    stores = open_with({**UNLIMITED, **rules})
    subject = new_id("x")
    caller = Caller(*[subject] * 3)
    keys = [stores.keys.bucket(name, subject) for name in names]
    models: list[Bucket] = []

    for pause_ms in knocks:
        sleep(pause_ms / 1000)
        earliest = redis_now(stores)
        models = models or [Bucket(*rate, now=earliest) for rate in rates]
        admission, wait_ms = knock_once(stores, caller)
        if admission is None:
            lowest = [model.level(earliest) for model in models]
            longest = max(
                ceil((1 - level) / model.refill)
                for level, model in zip(lowest, models, strict=True)
            )
            assert min(lowest) < 1
            assert 0 <= wait_ms <= longest + redis_now(stores) - earliest
            continue
        # The time that counted is the one Redis wrote beside the tokens.
        now = stored_at(stores, keys[0])
        for model, key in zip(models, keys, strict=True):
            assert model.level(now) >= 1
            model.take(now)
            assert stores.redis.execute("GET", key).decode() == (
                f"{model.tokens:.6f}:{now}"
            )
        assert admission.quota is not None
        assert admission.quota[:2] in nearest(models)


def nearest(models: list[Bucket]) -> set[tuple[int, int]]:
    """Return limit and remainder of the fullest buckets; millionths decide nothing."""
    least = min(model.tokens / model.burst for model in models)
    return {
        (model.burst, int(model.tokens + less))
        for model in models
        if model.tokens / model.burst < least + 0.000001
        for less in (-0.0000005, 0, 0.0000005)
    }


def knock_once(stores: Stores, caller: Caller) -> tuple[Admission | None, int]:
    """Return the admission, or None and the wait that a refusal told."""
    try:
        return stores.admission.admit_request("read", caller), 0
    except Limited as refused:
        return None, refused.retry_after_ms or 0


UNLIMITED = {f"read.{name}": "1000000/1000000" for name in ("ip", "user", "device")}


def redis_now(stores: Stores) -> int:
    seconds, micros = stores.redis.execute("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


def stored_at(stores: Stores, key: str) -> int:
    kept = stores.redis.execute("GET", key)
    if kept is None:
        # The machine stood still until the bucket was full, and forgotten.
        reject()
    return int(kept.split(b":")[1])
