"""Celery's queues, routes and options: one dictionary for ``app.conf.update``.

`tasks/app.py` applies it; the queue names are compared with Procfile and compose
by `tests/architecture`.
"""

from __future__ import annotations

from kombu import Exchange
from kombu import Queue as BrokerQueue

from config.queues import MODULE_QUEUES, Queue
from config.setting_tree import Settings

ROUTES: dict[str, dict[str, str]] = {
    f"{module}.*": {"queue": queue.value} for module, queue in MODULE_QUEUES.items()
}


def celery_options(settings: Settings) -> dict[str, object]:
    """Return every Celery option; reasons in `docs/decisions` and beside the value."""
    return {
        **_broker_options(settings),
        **_task_options(settings),
        **_worker_options(settings),
        **_result_options(settings),
    }


def transport_options(settings: Settings) -> dict[str, object]:
    """Return kombu's options: every wait bounded, lost messages restored soon."""
    celery = settings.celery
    return {
        "visibility_timeout": celery.visibility_timeout_s,
        # Redis takes the shortest timeout of all apps that share a key space.
        "global_keyprefix": settings.broker_prefix,
        "socket_timeout": celery.broker_timeout_s,
        "socket_connect_timeout": celery.broker_connect_timeout_s,
        "socket_keepalive": True,
        "health_check_interval": celery.health_check_s,
        # The defaults (10 and 10) multiply to 100 s until a dead worker's messages
        # are looked for.
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
    }


def _broker_options(settings: Settings) -> dict[str, object]:
    celery = settings.celery
    return {
        "broker_url": settings.redis.broker_url,
        "broker_transport_options": transport_options(settings),
        # Of the three places for this number one is not enough: see kombu's notes.
        "visibility_timeout": celery.visibility_timeout_s,
        "broker_connection_timeout": celery.broker_connect_timeout_s,
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_pool_acquire_timeout": celery.publish_timeout_s,
        # The relay repeats from the row; a retry here would only hide the fault.
        "task_publish_retry": False,
        "task_publish_retry_policy": {"max_retries": 0},
    }


def _task_options(settings: Settings) -> dict[str, object]:
    celery = settings.celery
    return {
        "task_queues": [
            BrokerQueue(name, Exchange(name), routing_key=name)
            for name in (queue.value for queue in Queue)
        ],
        "task_routes": ROUTES,
        "task_default_queue": Queue.MAINTENANCE.value,
        # A misspelt queue must fail, not fill a list that nobody reads.
        "task_create_missing_queues": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_acks_late": True,
        "task_acks_on_failure": True,
        "task_acks_on_timeout": True,
        # Rejecting loops for ever on a task that kills its worker; retrying is
        # bounded, and the journal's attempts end it.
        "task_reject_on_worker_lost": False,
        "task_retry_on_worker_lost": True,
        "task_annotations": {
            "*": {
                "max_retries": celery.lost_retries,
                "default_retry_delay": celery.lost_retry_delay_s,
            }
        },
        "task_time_limit": celery.hard_limit_s,
        "task_soft_time_limit": celery.soft_limit_s,
        "task_track_started": False,
        "enable_utc": True,
        "timezone": "UTC",
    }


def _worker_options(settings: Settings) -> dict[str, object]:
    celery = settings.celery
    return {
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "worker_eta_task_limit": 1000,
        "worker_max_tasks_per_child": celery.max_tasks_per_child,
        "worker_max_memory_per_child": celery.max_child_memory_kb,
        "worker_soft_shutdown_timeout": celery.soft_shutdown_s,
        # Both for SIGQUIT alone: at SIGTERM `workers/graceful_stop.py` ends a worker
        # with its last task. On idle, Celery would sleep its whole 20 s for nothing:
        # a message that an idle worker holds is sent again from its row.
        "worker_enable_soft_shutdown_on_idle": False,
        # Stated because Celery announces another default; a finished effect is
        # recognised by its row, so running on is safe and cancelling is waste.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_log_color": False,
        # For Flower. A publisher's event would name its process id, so a new
        # series would appear with every restart: off.
        "worker_send_task_events": True,
        "task_send_sent_event": False,
        "event_queue_ttl": 5.0,
        "event_queue_expires": 60.0,
        "beat_max_loop_interval": celery.beat_interval_s,
    }


def _result_options(settings: Settings) -> dict[str, object]:
    return {
        # None: what a person waits for is a row of `operations`, and Flower lists tasks
        # by their events. Stored results would only be one more way in for data.
        "result_backend": None,
        # Or beat adds a daily task that clears up what is not there.
        "result_expires": None,
        "task_ignore_result": True,
        "result_serializer": "json",
        "result_accept_content": ["json"],
        # The third place of that number, for whoever does set a backend.
        "result_backend_transport_options": {
            "visibility_timeout": settings.celery.visibility_timeout_s
        },
    }
