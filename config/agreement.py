"""What settings of different groups must hold together, in every installation.

Called by `config/settings.py` with the groups that are legal by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator

from config.setting_tree import Settings


def disagreements(settings: Settings) -> Iterator[str]:
    """Yield the limits that contradict each other.

    Nothing while one of their groups is None: it was illegal by itself.
    """
    journal, celery = settings.journal, settings.celery
    notifications = settings.notifications
    if None in (journal, celery, notifications):
        return
    if notifications.call_s > journal.lease_s / 2:
        yield (
            "NOTIFICATION_CALL_S must be half of TASK_LEASE_S at most, or a process "
            "that was frozen calls WeChat when another may have the message"
        )
    if notifications.call_s + notifications.record_s >= celery.hard_limit_s:
        yield (
            "NOTIFICATION_CALL_S + NOTIFICATION_RECORD_S must be below "
            "TASK_HARD_LIMIT_S, until which the lease of a message is renewed"
        )
