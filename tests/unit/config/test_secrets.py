"""Secrets are made once, privately, and the same for everybody."""

import stat
from concurrent.futures import ThreadPoolExecutor

from config.secrets import NAMES, ensure_secrets, looks_like_sample


def test_first_start_makes_every_file_for_its_owner_alone(tmp_path):
    made = ensure_secrets(tmp_path)
    assert set(made) == set(NAMES)
    folder = tmp_path / "secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in NAMES:
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.iterdir()) == sorted(NAMES)


def test_shapes(tmp_path):
    made = ensure_secrets(tmp_path)
    assert len(bytes.fromhex(made["jwt_key"])) == 32
    assert len(bytes.fromhex(made["data_key"])) == 32
    assert len(bytes.fromhex(made["id_key"])) == 32
    assert made["flower_login"].startswith("kuaida:")
    assert len(made["wechat_secret"]) == 32
    assert len(set(made.values())) == len(made)


def test_a_second_start_changes_nothing(tmp_path):
    assert ensure_secrets(tmp_path) == ensure_secrets(tmp_path)


def test_a_file_somebody_put_there_stays(tmp_path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/admin_token").write_text("mine\n")
    assert ensure_secrets(tmp_path)["admin_token"] == "mine"


def test_many_starts_at_once_agree(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(ensure_secrets, [tmp_path] * 64))
    assert all(result == results[0] for result in results)
    assert len(list((tmp_path / "secrets").iterdir())) == len(NAMES)


def test_drawn_secrets_do_not_look_like_samples(tmp_path):
    assert not any(map(looks_like_sample, ensure_secrets(tmp_path).values()))


def test_samples_look_like_samples():
    for text in (
        "changeme",
        "my-secret-token-value-123",
        "aaaaaaaa",
        "",
        "ExampleKey9",
    ):
        assert looks_like_sample(text)
