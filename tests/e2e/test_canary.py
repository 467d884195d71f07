"""No secret shows anywhere: known ones go through every flow, then all is searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.canaries import (
    ALWAYS,
    Canaries,
    binding_phones,
    failing_logins,
    good_login,
    heal,
    hits,
    internal_door,
    losing_keys,
    messaging,
    opening_data,
    reading_and_writing,
    rotating,
)
from tests.e2e.places import places

if TYPE_CHECKING:
    from tests.servers.house import House


@pytest.fixture
def birds(house: House) -> Canaries:
    """Drive all flows once."""
    birds = Canaries()
    for name in ALWAYS:
        birds.keep(name, house.secret(name))
    user, other = (good_login(house, birds) for _ in range(2))
    reading_and_writing(house, birds, user)
    messaging(house, birds, user)
    opening_data(house, birds, user)
    binding_phones(house, birds, user, other)
    losing_keys(house, birds, user)
    rotating(house, birds, user)
    internal_door(house, birds)
    failing_logins(house, birds)
    heal(house)
    return birds


def test_no_secret_comes_to_light(house: House, birds: Canaries) -> None:
    assert list(hits(house, birds)) == []


def test_flower_password_is_shown_once_at_the_start(house: House) -> None:
    password = house.secret("flower_login").partition(":")[2].encode()

    found = [name for name, content in places(house) if password in content]

    assert set(found) <= {"output of make run"}
