"""Rate limits of one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY

from models.errors import Limited
from models.stores.admission import Caller
from web.services import local_buckets
from web.services.local_buckets import LocalBuckets

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings
    from tests.still_clock import StillClock

ONE, TWO = Caller("1.1.1.1", user="u_1"), Caller("2.2.2.2", user="u_1")


def test_counts_and_refills(
    make_settings: Callable[..., Settings], clock: StillClock
) -> None:
    limits = make_settings(RATE_LIMITS='{"read.ip": "2/100"}').limits
    buckets = LocalBuckets(limits)
    buckets.admit("read", ONE)
    buckets.admit("read", ONE)
    with pytest.raises(Limited) as caught:
        buckets.admit("read", ONE)
    assert caught.value.retry_after_ms == 11
    buckets.admit("read", TWO)
    clock.move(0.011)
    buckets.admit("read", ONE)


def test_takes_nothing_when_one_bucket_refuses(
    make_settings: Callable[..., Settings],
) -> None:
    rules = '{"read.ip": "1/0.001", "read.user": "2/0.001"}'
    buckets = LocalBuckets(make_settings(RATE_LIMITS=rules).limits)
    buckets.admit("read", ONE)
    for _ in range(5):
        with pytest.raises(Limited):
            buckets.admit("read", ONE)
    buckets.admit("read", TWO)


def test_off_means_off(make_settings: Callable[..., Settings]) -> None:
    buckets = LocalBuckets(make_settings(RATE_LIMITS="off").limits)
    for _ in range(5000):
        buckets.admit("read", ONE)


def test_memory_is_bounded(settings: Settings) -> None:
    buckets = LocalBuckets(settings.limits)
    for number in range(local_buckets.MAX_BUCKETS + 50):
        buckets.admit("login", Caller(f"ip{number}"))
    assert len(buckets._buckets) == local_buckets.MAX_BUCKETS


def test_tells_the_scarcest_bucket(make_settings: Callable[..., Settings]) -> None:
    rules = '{"read.ip": "100/1", "read.user": "4/0.5"}'
    buckets = LocalBuckets(make_settings(RATE_LIMITS=rules).limits)

    assert buckets.admit("read", ONE) == (4, 3, 2)
    assert buckets.admit("push", Caller("", device="x")) is None


def test_a_refusal_tells_its_bucket(make_settings: Callable[..., Settings]) -> None:
    buckets = LocalBuckets(make_settings(RATE_LIMITS='{"read.ip": "1/0.01"}').limits)
    buckets.admit("read", ONE)

    with pytest.raises(Limited) as refused:
        buckets.admit("read", ONE)

    assert refused.value.quota is not None
    assert refused.value.quota[:2] == (1, 0)


def test_a_dry_run_refuses_nobody(make_settings: Callable[..., Settings]) -> None:
    limits = make_settings(
        RATE_LIMITS='{"login.ip": "1/0.001"}', RATE_LIMITS_DRY_RUN="true"
    ).limits
    buckets = LocalBuckets(limits)
    labels = {"limit": "login.ip"}
    name = "kuaida_rate_limit_would_refuse_total"
    before = REGISTRY.get_sample_value(name, labels) or 0

    for _ in range(5):
        buckets.admit_login(ONE)
        buckets.count_failure(ONE)

    assert (REGISTRY.get_sample_value(name, labels) or 0) == before + 4


def test_failures_fade(
    make_settings: Callable[..., Settings], clock: StillClock
) -> None:
    # A failure is forgotten each tenth of a second.
    buckets = LocalBuckets(make_settings(LOGIN_FAILURES="10/1").limits)
    for _ in range(9):
        buckets.count_failure(ONE)
    clock.move(0.15)
    buckets.count_failure(ONE)
    buckets.admit_login(ONE)

    for _ in range(2):
        buckets.count_failure(ONE)

    with pytest.raises(Limited) as refused:
        buckets.admit_login(ONE)
    assert refused.value.reason == "locked_out"


def test_locks_are_bounded_and_end(
    make_settings: Callable[..., Settings], clock: StillClock
) -> None:
    buckets = LocalBuckets(make_settings(LOGIN_FAILURES="1/1").limits)
    for number in range(local_buckets.MAX_BUCKETS + 20):
        buckets.count_failure(Caller(f"ip{number}"))

    assert len(buckets._locks) == local_buckets.MAX_BUCKETS
    last = Caller(f"ip{local_buckets.MAX_BUCKETS + 19}")
    with pytest.raises(Limited):
        buckets.admit_login(last)
    clock.move(1.01)
    buckets.admit_login(last)
