"""A thousand known secrets go through every flow; then all that is kept is searched."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.bench.report import table
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
from tests.identity.section import Findings, Section
from tests.servers.house import House

if TYPE_CHECKING:
    from pathlib import Path

WANTED = 1000
# Each user brings about thirty secrets.
USERS = 34


def run(folder: Path) -> Findings:
    """Drive the flows in a house of its own and look everywhere."""
    house = House(folder)
    try:
        house.start()
        return look(house, drive(house))
    finally:
        house.end()


def drive(house: House) -> Canaries:
    """Send every user through every flow."""
    birds = Canaries()
    for name in ALWAYS:
        birds.keep(name, house.secret(name))
    users = [good_login(house, birds) for _ in range(USERS)]
    messaging(house, birds, users[0])
    for user, other in pairwise([*users, users[0]]):
        reading_and_writing(house, birds, user)
        opening_data(house, birds, user)
        binding_phones(house, birds, user, other)
        losing_keys(house, birds, user)
    for user in users:
        rotating(house, birds, user)
    internal_door(house, birds)
    failing_logins(house, birds)
    heal(house)
    return birds


def look(house: House, birds: Canaries) -> Findings:
    """Search every place and every error for each form of each secret."""
    found = Findings()
    came_to_light = list(hits(house, birds))
    kinds = Counter(name.partition(" #")[0] for name in birds.known)
    searched = [(name.split()[0], len(content)) for name, content in places(house)]
    found.expect(len(birds.known) >= WANTED, f"only {len(birds.known)} secrets")
    found.expect(not came_to_light, f"{len(came_to_light)}: {came_to_light[:3]}")
    found.figures = {
        "secrets": len(birds.known),
        "error answers": len(birds.errors),
        "places": f"{len(searched)}, {sum(size for _, size in searched) // 1024} kB",
        "hits": len(came_to_light),
    }
    found.table = table(
        ("secret", "how many"), [[kind, str(count)] for kind, count in kinds.items()]
    )
    return found


SECTION = Section(
    name="canaries",
    title="Canaries",
    about=(
        "Openids, numbers, session keys, tokens, codes, encrypted texts and our own "
        "secrets, sent through logins, opening of data, binding of phones, messages, "
        "refresh, logout, resets and their errors. Searched plain, reversed, as hex, "
        "base64 and percent code: logs, every file of the database, every key and "
        "value of Redis, Flower's API and pages, metrics, the internal pages, command "
        "lines and all error bodies."
    ),
    run=run,
)
