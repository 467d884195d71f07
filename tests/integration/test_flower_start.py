"""Flower's start: it waits for readers of every queue, and not for ever."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from kombu.exceptions import OperationalError

from config.clock import Deadline
from config.queues import Queue
from workers.flower_start import asking_app, unread, wait_for_readers

if TYPE_CHECKING:
    from celery import Celery

    from config.settings import Settings

ALL = {"w@1": [{"name": queue} for queue in Queue]}


@dataclass
class Workers:
    """An app whose workers answer, one after the other, what is in ``answers``."""

    answers: list[Any]
    asked: list[float] = field(default_factory=list)

    @property
    def control(self) -> Workers:
        return self

    def inspect(self, *, timeout: float) -> Workers:
        self.asked.append(timeout)
        return self

    def active_queues(self) -> Any:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_it_waits_until_all_queues_are_read() -> None:
    some = {"w@1": [{"name": "logins"}]}
    workers = Workers([OperationalError(), None, some, ALL])

    assert (
        wait_for_readers(cast("Celery", workers), Deadline.after_ms(300_000)) == set()
    )
    assert len(workers.asked) == 4


def test_it_starts_without_those_who_do_not_come() -> None:
    workers = Workers([{"w@1": [{"name": "logins"}]}])
    left = wait_for_readers(cast("Celery", workers), Deadline.after_ms(0))

    assert left == set(Queue) - {Queue.LOGINS}


def test_without_any_worker_nothing_is_read(settings: Settings, redis_url: str) -> None:
    chosen = settings.redis.model_copy(update={"broker_url": redis_url})
    asking = asking_app(settings.model_copy(update={"redis": chosen}))

    assert unread(asking) == set(Queue)
