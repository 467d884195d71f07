"""The queues and which module's tasks run on which; plain data, no Celery in it.

`config/celery.py` makes Celery's routes of it, `models/outbox.py` files each row under
its queue, so that the relay can serve urgent work before bulk.
"""

from __future__ import annotations

from enum import StrEnum


class Queue(StrEnum):
    """Every queue, named after what it serves; the relay serves them in this order."""

    LOGINS = "logins"
    ORDERS = "orders"
    PUSH_MESSAGES = "push_messages"
    NOTIFICATIONS = "notifications"
    SYNC = "sync"
    MAINTENANCE = "maintenance"
    BULK = "bulk"


# Events are no messages: the relay itself turns them into rows of other queues.
EVENTS = "events"
LANES: tuple[str, ...] = (EVENTS, *Queue)

MODULE_QUEUES: dict[str, Queue] = {
    "tasks.logins": Queue.LOGINS,
    "tasks.profile": Queue.SYNC,
    "tasks.sessions": Queue.SYNC,
    "tasks.standings": Queue.LOGINS,
    "tasks.sync": Queue.SYNC,
    "tasks.orders": Queue.ORDERS,
    "tasks.push_messages": Queue.PUSH_MESSAGES,
    "tasks.maintenance": Queue.MAINTENANCE,
    "tasks.paid_calls": Queue.MAINTENANCE,
    "tasks.wechat_keys": Queue.MAINTENANCE,
    "tasks.schedule": Queue.MAINTENANCE,
    "tasks.notifications": Queue.NOTIFICATIONS,
    "tasks.notification_sweep": Queue.MAINTENANCE,
    "tasks.exports": Queue.BULK,
    "tasks.retention": Queue.BULK,
    "tasks.risk": Queue.MAINTENANCE,
}

# Which process of the Procfile serves which queues; a test keeps both alike. What waits
# on WeChat has a worker of its own: threads, isolated from the rest. So has bulk work,
# which may fill its process for minutes and must delay nobody.
READERS: dict[str, tuple[Queue, ...]] = {
    "worker": (
        Queue.LOGINS,
        Queue.SYNC,
        Queue.ORDERS,
        Queue.PUSH_MESSAGES,
        Queue.MAINTENANCE,
    ),
    "notifier": (Queue.NOTIFICATIONS,),
    "bulk": (Queue.BULK,),
}


def reader_of(lane: str) -> str:
    """Return the process that serves a lane; events are served by the relay itself."""
    return next((name for name, queues in READERS.items() if lane in queues), "relay")


def queue_of(task: str) -> Queue:
    """Return the queue of a task by its import path; MAINTENANCE for a stranger."""
    return MODULE_QUEUES.get(task.rpartition(".")[0], Queue.MAINTENANCE)
