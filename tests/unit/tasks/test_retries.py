"""How long failed work waits: its own pace, WeChat's windows, its app's budget."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from config.clock import DAY_MS, now_ms
from config.work_settings import JournalSettings
from models.china_time import until_midnight_ms
from models.errors import DatabaseUnavailable
from tasks.retries import backoff_ms, retry_wait_ms
from wechat.errors import BreakerOpen, refusal

PATH = "/cgi-bin/message/subscribe/send"


@dataclass
class Budget:
    """A purse of retries."""

    left: int
    asked: list[str] = field(default_factory=list)

    def take(self, app_id: str) -> bool:
        self.asked.append(app_id)
        self.left -= 1
        return self.left >= 0


def house(budget: Budget) -> Any:
    """Return what the rule looks at of a process's resources."""
    journal = JournalSettings.model_validate({"RETRY_FIRST_S": 1, "RETRY_MOST_S": 60})
    return SimpleNamespace(
        settings=SimpleNamespace(journal=journal),
        stores=SimpleNamespace(retry_budget=budget),
    )


def test_waits_double_up_to_the_longest_and_are_jittered() -> None:
    settings = JournalSettings.model_validate({"RETRY_FIRST_S": 1, "RETRY_MOST_S": 60})

    waits = {n: [backoff_ms(n, settings) for _ in range(50)] for n in (0, 1, 3, 500)}

    assert all(500 <= wait <= 1000 for wait in waits[0] + waits[1])
    assert all(2000 <= wait <= 4000 for wait in waits[3])
    assert all(30_000 <= wait <= 60_000 for wait in waits[500])
    assert len(set(waits[3])) > 10


@pytest.mark.parametrize(
    ("error", "least"),
    [
        (DatabaseUnavailable("gone", retry_after_ms=7000), 7000),
        (BreakerOpen(PATH, 9000), 9000),
        (TimeoutError(), 500),
    ],
    ids=["store", "breaker", "other"],
)
def test_an_error_is_given_the_time_it_asks_for(error: Exception, least: int) -> None:
    wait = retry_wait_ms(error, 1, None, house(Budget(0)))

    assert least <= wait <= least + 6000


@pytest.mark.usefixtures("clock")
def test_a_quota_of_the_minute_waits_for_the_next_minute() -> None:
    wait = retry_wait_ms(refusal(PATH, 45011, ""), 1, None, house(Budget(0)))

    assert 5000 <= wait <= 70_000
    assert (now_ms() + wait) // 60_000 > now_ms() // 60_000


@pytest.mark.usefixtures("clock")
def test_a_quota_of_the_day_waits_for_midnight_in_china() -> None:
    left = until_midnight_ms(now_ms())
    wait = retry_wait_ms(refusal(PATH, 45009, ""), 1, None, house(Budget(0)))

    assert 0 < left <= DAY_MS
    assert (now_ms() + left + 8 * 3_600_000) % DAY_MS < 1000
    assert left <= wait + 1000 <= left + 601_000


def test_work_of_an_app_without_budget_waits_the_longest_time() -> None:
    budget = Budget(1)
    waits = [retry_wait_ms(TimeoutError(), 1, "wx1", house(budget)) for _ in range(2)]

    assert budget.asked == ["wx1", "wx1"]
    assert waits[0] <= 1000
    assert waits[1] >= 30_000
