"""Fresh profiles for the user cache, after the tasks that changed them."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from config.logging import get_logger
from models.errors import RedisUnavailable
from models.users import Profile
from tasks.app import Resources

log = get_logger(__name__)
_encoder = msgspec.json.Encoder()


def warm_users(house: Resources, profiles: Collection[Profile]) -> None:
    """Put fresh profiles into the cache; without Redis readers load from SQL."""
    try:
        house.stores.users.warm({one.id: _encoder.encode(one) for one in profiles})
    except RedisUnavailable:
        log.warning("cache not warmed", size=len(profiles))
