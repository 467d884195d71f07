"""Entry point of worker, notifier, beat and flower: ``celery -A workers.celery``."""

from config.settings import load_settings
from tasks.app import configure
from workers.signals import ProcessHooks

settings = load_settings()
app = configure(settings)
app.conf.beat_scheduler = "workers.beat:LivingScheduler"
ProcessHooks(settings).connect()
