"""Processes around Celery: the relay, worker start-up, health and the dashboard."""
