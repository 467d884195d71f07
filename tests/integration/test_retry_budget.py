"""The retry budget: shared by all workers, and no obstacle while Redis is away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.stores.container import open_stores

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings


def test_the_budget_is_one_for_all_processes(
    redis_url: str, make_settings: Callable[..., Settings]
) -> None:
    settings = make_settings(REDIS_URL=redis_url, RETRY_BUDGET="5/0.001")
    first, second = open_stores(settings), open_stores(settings)

    taken = [store.retry_budget.take("wx1") for store in (first, second) * 4]

    assert taken == [True] * 5 + [False] * 3
    assert first.retry_budget.take("wx2")
    first.close()
    second.close()


def test_without_redis_every_retry_is_granted(
    make_settings: Callable[..., Settings],
) -> None:
    stores = open_stores(make_settings(RETRY_BUDGET="1/0.001"))

    assert all(stores.retry_budget.take("wx1") for _ in range(3))
    stores.close()
