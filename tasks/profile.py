"""What follows a change of a user's profile; see `workers/subscriptions.py`."""

from __future__ import annotations

from models.users import find_profiles
from tasks.app import app
from tasks.base import OutboxTask
from tasks.user_cache import warm_users
from tasks.work import Work


@app.task(base=OutboxTask)
def warm_user_cache(work: Work) -> None:
    """Rebuild the cached profile from SQL: the deletion at the write may be lost."""
    house = work.resources
    with house.database.read() as session:
        profiles = find_profiles(session, [work.subject_id])
    warm_users(house, profiles)
