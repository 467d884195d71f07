"""Every Redis key is named in one module, and its life is stated there."""

from __future__ import annotations

import inspect
import re

import pytest

from config.settings import setting_names
from models.stores import keys
from models.stores.keys import KEY_FAMILIES, Keys
from tests.architecture.sources import ours

PREFIX = "deployment"
WITHOUT_END = {"none"}


def made_keys() -> dict[str, str]:
    """Return each name that `Keys` can make, by method or attribute."""
    names = Keys(PREFIX)
    made = {name: value for name, value in vars(names).items() if name[0] != "_"}
    for name, method in inspect.getmembers(names, inspect.ismethod):
        if name[0] != "_":
            arguments = ["x"] * len(inspect.signature(method).parameters)
            made[name] = method(*arguments)
    return made


def family_of(key: str) -> list[str]:
    """Return the patterns of `KEY_FAMILIES` that describe ``key``."""
    body = key.removeprefix(f"{PREFIX}:")
    as_regex = {
        family.pattern: re.sub(r"\\\{\w+\\\}", "[^:]+", re.escape(family.pattern))
        for family in KEY_FAMILIES
    }
    return [p for p, regex in as_regex.items() if re.fullmatch(regex, body)]


@pytest.mark.parametrize("name", sorted(made_keys()))
def test_key_belongs_to_one_family(name: str) -> None:
    assert len(family_of(made_keys()[name])) == 1


def test_every_family_is_made_by_a_name() -> None:
    used = {pattern for key in made_keys().values() for pattern in family_of(key)}

    assert used == {family.pattern for family in KEY_FAMILIES}


@pytest.mark.parametrize("family", KEY_FAMILIES, ids=lambda family: family.pattern)
def test_family_has_a_life_or_a_reason_for_none(family: keys.KeyFamily) -> None:
    constants = set(re.findall(r"\b[A-Z][A-Z_]{3,}\b", family.life))

    assert family.life
    assert family.reason
    assert constants <= set(setting_names()) | set(vars(keys))


def test_few_keys_live_for_ever() -> None:
    # A new one is a decision: it must be bounded by something else than time, as
    # standings are by the users that were ever banned, marked or logged out.
    endless = {f.pattern for f in KEY_FAMILIES if f.life in WITHOUT_END}

    assert endless == {"logins", "standing:{user}", "standings", "standings-seen"}


def test_no_other_module_spells_a_key() -> None:
    heads = {family.pattern.split(":")[0] for family in KEY_FAMILIES}
    spelled = re.compile(rf"f\"[^\"]*\b({'|'.join(map(re.escape, heads))}):\{{")
    found = [
        f"{source.name}: {match[0]}"
        for source in ours()
        if source.name != "models/stores/keys.py"
        for match in spelled.finditer(source.text)
    ]

    assert found == []
