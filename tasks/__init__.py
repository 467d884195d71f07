"""Celery tasks: ids in, effect once out; they never call a service or each other."""
