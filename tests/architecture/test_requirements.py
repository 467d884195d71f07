"""The lock file: hashed, and above the versions with known holes."""

from __future__ import annotations

import re

import pytest
from packaging.version import Version

from tests.architecture.sources import ROOT

# Floors of the vulnerability table in docs/decisions; each names its reason there.
FLOORS = {
    "pyjwt": "2.13.0",
    "flask": "3.1.3",
    "werkzeug": "3.1.9",
    "gunicorn": "26.1",
    "gevent": "23.9",
    "pymysql": "1.1.1",
    "redis": "8.1",
    "celery": "5.7.0",
    "kombu": "5.7.0",
    "flower": "2.1.0",
    "sqlalchemy": "2.1.9",
    "urllib3": "2.6.0",
}
BANNED = {"niquests", "urllib3-future", "python-jose", "authlib", "flask-cors"}
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)
LOCKS = sorted(path.name for path in ROOT.glob("requirements*.lock"))


def pins(name: str) -> dict[str, str]:
    """Return package -> version of one lock file."""
    found = PIN.findall((ROOT / name).read_text())
    return {package.lower().replace("_", "-"): version for package, version in found}


def test_there_is_a_lock() -> None:
    assert "requirements.lock" in LOCKS


@pytest.mark.parametrize("package", sorted(FLOORS))
def test_the_lock_stands_above_known_holes(package: str) -> None:
    assert Version(pins("requirements.lock")[package]) >= Version(FLOORS[package])


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    bare = [b.split("==")[0] for b in blocks if PIN.match(b) and "--hash=sha" not in b]

    assert bare == []
    assert "http://" not in text
    assert "https://" not in text


@pytest.mark.parametrize("lock", LOCKS)
def test_nothing_banned_came_along(lock: str) -> None:
    assert BANNED & set(pins(lock)) == set()
