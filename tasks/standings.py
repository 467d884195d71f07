"""Keeps the standings of users in Redis as SQL has them; see `models/standings.py`."""

from __future__ import annotations

from config.metrics.accounts import STANDINGS
from models.account_links import find_alias
from models.standings import find_user_standing
from tasks.app import app
from tasks.base import OutboxTask
from tasks.work import Work


@app.task(base=OutboxTask)
def publish_standing(work: Work) -> None:
    """Write the copy of one user's standing, or of the alias that its id is."""
    house, user_id = work.resources, work.subject_id
    with house.database.read() as session:
        standing = find_user_standing(session, user_id)
        alias = find_alias(session, user_id)
    if alias is not None:
        house.stores.standings.put_aliases([(user_id, alias)])
    house.stores.standings.put(user_id, standing)
    STANDINGS.labels("put").inc()
