"""The cached profile after a change: rebuilt from SQL, and never older than SQL."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import msgspec
import pytest

from models.users import Profile, ensure_user, find_profile, update_profile
from tasks.profile import warm_user_cache

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tasks.app import Resources


def rename(house: Resources, name: str) -> None:
    with house.database.unit_of_work() as work:
        ensure_user(work.session, "u_1", "wx1", 0)
        update_profile(work.session, "u_1", {"nickname": name})


def cached(house: Resources) -> str | None:
    """Return the nickname a reader is given."""

    def load() -> bytes:
        with house.database.read() as session:
            return msgspec.json.encode(find_profile(session, "u_1"))

    found = house.stores.users.load("u_1", load)
    assert found is not None
    return msgspec.json.decode(found, type=Profile).nickname


def warm(house: Resources) -> None:
    warm_user_cache.run(SimpleNamespace(resources=house, subject_id="u_1"))


def test_an_entry_whose_deletion_was_lost_is_replaced(house: Resources) -> None:
    rename(house, "old")
    assert cached(house) == "old"
    rename(house, "new")
    assert cached(house) == "old"

    warm(house)

    assert cached(house) == "new"


def test_a_change_during_the_warming_is_not_covered_by_what_was_read_before_it(
    house: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename(house, "old")

    def overtaken(session: Session, user_id: str) -> Profile | None:
        found = find_profile(session, user_id)
        session.rollback()
        rename(house, "new")
        house.stores.users.delete(user_id)
        return found

    monkeypatch.setattr("tasks.profile.find_profile", overtaken)
    warm(house)

    assert cached(house) == "new"
