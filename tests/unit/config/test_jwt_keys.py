"""The files of the signing keys: who may rotate them, and rotation itself."""

import os
import secrets
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from config.jwt_keys import KeyFiles, read_token_keys, rotate
from config.key_text import RetiredKey
from config.secrets import ensure_secrets
from config.settings import SettingsError, load_settings

NOW, DAY = 1_700_000_000_000, 86_400_000
OVERLAP = 935_000


@pytest.fixture
def folder(tmp_path):
    ensure_secrets(tmp_path)
    made = tmp_path / "secrets"
    os.utime(made / "jwt_key", (NOW / 1000, NOW / 1000))
    return made


def load(tmp_path, **environ):
    return load_settings({"VAR_DIR": str(tmp_path), **environ}, env_file=None)


def text(folder, name="jwt_key"):
    return (folder / name).read_text().strip()


def test_the_old_key_verifies_until_the_overlap_is_over(folder):
    old = text(folder)

    assert rotate(folder, now=NOW, overlap_ms=OVERLAP) == "rotated"

    assert text(folder) != old
    assert len(bytes.fromhex(text(folder))) == 32
    assert text(folder, "jwt_key_previous") == f"{old} until {NOW + OVERLAP}"


def test_files_are_their_owners_alone_and_drafts_are_gone(folder):
    before = {path.name for path in folder.iterdir()}
    rotate(folder, now=NOW, overlap_ms=OVERLAP)

    assert {path.name for path in folder.iterdir()} == before | {"jwt_key_previous"}
    for name in ("jwt_key", "jwt_key_previous"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_a_third_key_waits_until_the_first_has_ended(folder):
    rotate(folder, now=NOW, overlap_ms=OVERLAP)
    second = text(folder)

    assert rotate(folder, now=NOW + OVERLAP - 1, overlap_ms=OVERLAP) == "overlap"
    assert text(folder) == second
    assert rotate(folder, now=NOW + OVERLAP, overlap_ms=OVERLAP) == "rotated"


def test_a_key_may_end_at_once(folder):
    rotate(folder, now=NOW, overlap_ms=OVERLAP)
    second = text(folder)

    assert rotate(folder, now=NOW + 1, overlap_ms=0) == "rotated"

    assert text(folder) != second
    assert not (folder / "jwt_key_previous").exists()


def test_a_young_key_stays(folder):
    old = text(folder)

    early = rotate(folder, now=NOW + DAY - 1, overlap_ms=OVERLAP, older_than_ms=DAY)
    assert (early, text(folder)) == ("young", old)
    late = rotate(folder, now=NOW + DAY, overlap_ms=OVERLAP, older_than_ms=DAY)
    assert late == "rotated"


def test_of_many_at_once_one_rotates(folder):
    old = text(folder)
    with ThreadPoolExecutor(8) as pool:
        act = lambda _: rotate(folder, now=NOW, overlap_ms=OVERLAP)  # noqa: E731
        outcomes = list(pool.map(act, range(32)))

    assert sorted(outcomes) == ["overlap"] * 31 + ["rotated"]
    assert text(folder, "jwt_key_previous").startswith(old)


def test_a_death_between_the_steps_costs_nothing(folder, tmp_path):
    # The old key was written down as retired, the new one never came.
    old = text(folder)
    (folder / "jwt_key_previous").write_text(f"{old} until {NOW + OVERLAP}\n")

    settings = load(tmp_path)

    assert settings.secrets.jwt_key_previous is None
    found = read_token_keys(settings.jwt_files, settings.secrets)
    assert (found.current.hex(), found.previous) == (old, None)
    assert rotate(folder, now=NOW, overlap_ms=OVERLAP) == "rotated"


def test_a_start_after_a_rotation_knows_both_keys(folder, tmp_path):
    old = bytes.fromhex(text(folder))
    rotate(folder, now=NOW, overlap_ms=OVERLAP)

    settings = load(tmp_path)

    assert settings.secrets.jwt_key.hex() == text(folder)
    assert settings.secrets.jwt_key_previous == RetiredKey(old, NOW + OVERLAP)


def test_the_house_rotates_its_own_files_alone(folder, tmp_path):
    own = KeyFiles(folder / "jwt_key", folder / "jwt_key_previous", managed=True)
    assert load(tmp_path).jwt_files == own
    key, elsewhere = secrets.token_hex(32), tmp_path / "mounted"
    elsewhere.write_text(secrets.token_hex(32))

    assert load(tmp_path, JWT_KEY=key).jwt_files == KeyFiles()
    mounted = load(tmp_path, JWT_KEY_FILE=str(elsewhere)).jwt_files
    assert mounted == KeyFiles(elsewhere)
    second = load(tmp_path, JWT_KEY_PREVIOUS_FILE=str(elsewhere)).jwt_files
    assert second == KeyFiles(folder / "jwt_key", elsewhere)
    given = load(tmp_path, JWT_KEY=key, JWT_KEY_FILE=str(elsewhere)).jwt_files
    assert given == KeyFiles()


def test_what_stands_in_the_folder_is_no_second_key_of_a_given_one(folder, tmp_path):
    rotate(folder, now=NOW, overlap_ms=OVERLAP)
    settings = load(tmp_path, JWT_KEY=secrets.token_hex(32))

    assert settings.secrets.jwt_key_previous is None


def test_two_equal_keys_are_refused(tmp_path):
    key = secrets.token_hex(32)
    with pytest.raises(SettingsError) as refused:
        load(tmp_path, JWT_KEY=key, JWT_KEY_PREVIOUS=key)

    assert any("JWT_KEY_PREVIOUS must differ" in f for f in refused.value.faults)
    assert key not in str(refused.value)


def test_a_folder_that_may_only_be_read_is_left_as_it_is(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        rotate(Path(tmp_path, "none"), now=NOW, overlap_ms=OVERLAP)
