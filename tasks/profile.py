"""What follows a change of a user's profile; see `workers/subscriptions.py`."""

from __future__ import annotations

import msgspec

from config.logging import get_logger
from models.errors import RedisUnavailable
from models.users import find_profile
from tasks.app import Resources, app
from tasks.base import OutboxTask
from tasks.work import Work

log = get_logger(__name__)


@app.task(base=OutboxTask)
def warm_user_cache(work: Work) -> None:
    """Rebuild the cached profile from SQL: the deletion at the write may be lost."""
    house, user_id = work.resources, work.subject_id
    try:
        house.stores.users.reload(user_id, lambda: _encoded(house, user_id))
    except RedisUnavailable:
        log.warning("cache not warmed", size=1)


def _encoded(house: Resources, user_id: str) -> bytes | None:
    with house.database.read() as session:
        profile = find_profile(session, user_id)
    return None if profile is None else msgspec.json.encode(profile)
