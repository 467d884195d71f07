"""Keys of access tokens while a process runs: they come, overlap, and end."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from config.clock import now_ms
from config.jwt_keys import rotate
from config.metrics.accounts import JWT_KEY_FAULTS
from config.secrets import secrets_directory
from tests.unit.web.seams import GRANT
from web.services.keyring import UNKNOWN_EVERY_S, Keyring, kid_of
from web.services.tokens import TokenSigner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from config.settings import Settings
    from tests.still_clock import StillClock

LONG = 60_000


@pytest.fixture
def folder(settings: Settings) -> Path:
    return secrets_directory(settings.var_dir)


@pytest.fixture
def slow(make_settings: Callable[..., Settings]) -> Settings:
    """Settings of a process that does not look by itself while a test runs."""
    return make_settings(JWT_KEY_RELOAD_S="60")


@pytest.fixture
def quick(make_settings: Callable[..., Settings]) -> Settings:
    return make_settings(JWT_KEY_RELOAD_S="0.1")


def current(folder: Path) -> bytes:
    return bytes.fromhex((folder / "jwt_key").read_text())


def faults() -> float:
    value: float = JWT_KEY_FAULTS.labels("read")._value.get()
    return value


def test_an_unknown_id_makes_it_look_at_once(
    slow: Settings, folder: Path, clock: StillClock
) -> None:
    ring, old = Keyring(slow), current(folder)
    assert ring.keys().signs.secret == old
    rotate(folder, now=now_ms(), overlap_ms=LONG)
    clock.move(2 * UNKNOWN_EVERY_S)

    found = ring.find(kid_of(current(folder)))

    assert found is not None
    assert ring.keys().signs.secret == found.secret == current(folder)
    kept = ring.find(kid_of(old))
    assert kept is not None
    assert kept.secret == old


def test_invented_ids_do_not_make_it_look_all_the_time(
    slow: Settings, folder: Path, clock: StillClock
) -> None:
    ring = Keyring(slow)
    assert ring.find("nobody") is None
    rotate(folder, now=now_ms(), overlap_ms=LONG)

    # Within the pause after a look even the new key waits.
    assert ring.find(kid_of(current(folder))) is None
    clock.move(2 * UNKNOWN_EVERY_S)
    assert ring.find(kid_of(current(folder))) is not None


def test_it_looks_by_itself_after_its_seconds(
    quick: Settings, folder: Path, clock: StillClock
) -> None:
    ring = Keyring(quick)
    before = ring.keys()
    assert ring.keys() is before
    rotate(folder, now=now_ms(), overlap_ms=LONG)
    clock.move(0.11)

    after = ring.keys()

    assert after.signs.secret == current(folder)
    assert set(after.verifies) == {after.signs.kid, before.signs.kid}


def test_the_old_key_ends_with_its_overlap(
    slow: Settings, folder: Path, clock: StillClock
) -> None:
    old = kid_of(current(folder))
    rotate(folder, now=now_ms(), overlap_ms=150)
    ring = Keyring(slow)
    both = ring.keys()
    assert ring.find(old) is not None
    clock.move(0.16)

    assert ring.find(old) is None
    assert ring.keys() is not both
    assert set(ring.keys().verifies) == {kid_of(current(folder))}


def test_files_that_hold_no_key_leave_the_keys_as_they_are(
    quick: Settings, folder: Path, clock: StillClock
) -> None:
    ring = Keyring(quick)
    before, counted = ring.keys(), faults()
    for broken in ("", "half a key", "ab" * 8):
        (folder / "jwt_key").write_text(broken)
        clock.move(0.11)
        assert ring.keys() is before
    assert faults() > counted

    (folder / "jwt_key").write_text(secrets.token_hex(32))
    clock.move(0.11)
    assert ring.keys().signs.secret == current(folder)


def test_a_lost_file_leaves_the_keys_as_they_are(
    quick: Settings, folder: Path, clock: StillClock
) -> None:
    ring = Keyring(quick)
    before = ring.keys()
    (folder / "jwt_key").unlink()
    clock.move(0.11)

    assert ring.keys() is before


def test_keys_of_the_environment_stay_until_a_restart(
    make_settings: Callable[..., Settings], folder: Path
) -> None:
    one, two = secrets.token_hex(32), secrets.token_hex(32)
    ring = Keyring(make_settings(JWT_KEY=one, JWT_KEY_PREVIOUS=two))
    rotate(folder, now=now_ms(), overlap_ms=LONG)

    assert ring.keys().signs.secret.hex() == one
    assert ring.find(kid_of(bytes.fromhex(two))) is not None
    assert ring.find(kid_of(current(folder))) is None


def test_a_mounted_file_is_followed(
    make_settings: Callable[..., Settings], tmp_path: Path, clock: StillClock
) -> None:
    mounted = tmp_path / "mounted"
    mounted.write_text(secrets.token_hex(32))
    ring = Keyring(make_settings(JWT_KEY_FILE=str(mounted), JWT_KEY_RELOAD_S="0.1"))
    ring.keys()
    mounted.write_text(secrets.token_hex(32) + "\n")
    clock.move(0.11)

    assert ring.keys().signs.secret.hex() == mounted.read_text().strip()


def test_a_second_key_that_is_over_never_verifies(
    make_settings: Callable[..., Settings],
) -> None:
    key = secrets.token_hex(32)
    ring = Keyring(make_settings(JWT_KEY_PREVIOUS=f"{key} until {now_ms() - 1}"))

    assert ring.find(kid_of(bytes.fromhex(key))) is None


def test_the_signer_takes_the_new_key(
    quick: Settings, folder: Path, clock: StillClock
) -> None:
    signer = TokenSigner(quick)
    first = signer.sign(GRANT)
    assert signer.sign(GRANT) == first
    rotate(folder, now=now_ms(), overlap_ms=LONG)
    clock.move(0.11)
    second = signer.sign(GRANT)

    assert second.access_token != first.access_token
    # The refresh token does not depend on this key.
    assert second.refresh_token == first.refresh_token


def test_an_id_tells_nothing_of_its_key() -> None:
    key: Any = secrets.token_bytes(32)

    assert kid_of(key) == kid_of(bytes(key))
    assert kid_of(key) not in key.hex()
    assert len(kid_of(key)) == 16
