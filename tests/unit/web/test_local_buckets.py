"""Rate limits of one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from config.clock import sleep
from models.errors import Limited
from models.stores.admission import Caller
from web.services import local_buckets
from web.services.local_buckets import LocalBuckets

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings

ONE, TWO = Caller("1.1.1.1", user="u_1"), Caller("2.2.2.2", user="u_1")


def test_counts_and_refills(make_settings: Callable[..., Settings]) -> None:
    limits = make_settings(RATE_LIMITS='{"read.ip": "2/100"}').limits
    buckets = LocalBuckets(limits)
    buckets.admit("read", ONE)
    buckets.admit("read", ONE)
    with pytest.raises(Limited) as caught:
        buckets.admit("read", ONE)
    assert caught.value.retry_after_ms is not None
    assert 1 <= caught.value.retry_after_ms <= 11
    buckets.admit("read", TWO)
    sleep(0.02)
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
