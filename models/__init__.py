"""All state, SQL and Redis, and the rules about it; knows no HTTP and no Celery."""
