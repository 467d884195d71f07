"""What production refuses, one fault at a time from a good installation."""

import json
import secrets

import pytest

from config.settings import SettingsError, load_settings


def good(**changes):
    """A production environment without fault, with ``changes``."""
    apps = [{"app_id": "wx1234567890", "secret": secrets.token_hex(16)}]
    return {
        "KUAIDA_ENV": "production",
        "DATABASE_URL": "mysql+pymysql://u:p@db/kuaida",
        "REDIS_URL": "rediss://:p@redis:6379/0",
        "WECHAT_API_BASE": "https://api.weixin.qq.com",
        "WECHAT_APPS": json.dumps(apps),
        "JWT_KEY": secrets.token_hex(32),
        "DATA_KEY": secrets.token_hex(32),
        "ID_KEY": secrets.token_hex(32),
        "ADMIN_TOKEN": secrets.token_hex(32),
        "FLOWER_LOGIN": f"ops:{secrets.token_hex(12)}",
        "ALLOWED_HOSTS": "api.example.cn",
    } | changes


def load(tmp_path, **changes):
    environ = good(**changes) | {"VAR_DIR": str(tmp_path)}
    return load_settings(environ, env_file=None)


def faults_of(tmp_path, **changes):
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, **changes)
    return caught.value.faults


def test_a_good_installation_is_accepted(tmp_path):
    assert load(tmp_path).production


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"DATABASE_URL": "sqlite:////tmp/x.db"}, "SQLite"),
        ({"WECHAT_API_BASE": "http://127.0.0.1:8002"}, "simulator"),
        ({"WECHAT_API_BASE": "https://weixin.qq.com.example.cn"}, "AppSecret"),
        ({"WECHAT_API_BASE": "https://xweixin.qq.com"}, "AppSecret"),
        ({"WECHAT_API_BASE": "https://api.weixin.qq.com@x.cn"}, "nobody before"),
        ({"WECHAT_API_BASE": "https://api.weixin.qq.com/x"}, "ends after the host"),
        ({"RATE_LIMITS": "off"}, "RATE_LIMITS"),
        ({"OPS_HOST": "0.0.0.0"}, "OPS_ALLOW_REMOTE"),
        ({"DEBUG": "true"}, "DEBUG"),
        ({"FLOWER_READ_ONLY": "false"}, "FLOWER_READ_ONLY"),
        ({"FLOWER_HOST": "0.0.0.0"}, "FLOWER_ALLOW_REMOTE"),
        ({"FLOWER_LOGIN": "ops:short"}, "FLOWER_LOGIN"),
        ({"FLOWER_LOGIN": "ops:change-me-please"}, "FLOWER_LOGIN"),
        ({"FLOWER_LOGIN": "nobody"}, "FLOWER_LOGIN"),
        ({"JWT_KEY": "00" * 32}, "JWT_KEY is a sample"),
        ({"JWT_KEY": "deadbeef" * 8}, "JWT_KEY is a sample"),
        ({"JWT_KEY": "ab"}, "JWT_KEY must be the hex"),
        ({"DATA_KEY": "ab" * 33}, "DATA_KEY must be the hex of exactly"),
        ({"ADMIN_TOKEN": "a-short-but-odd-1"}, "ADMIN_TOKEN"),
        ({"ADMIN_TOKEN": "example-token-0123456789-abcdefgh"}, "ADMIN_TOKEN"),
        ({"WECHAT_APPS": '[{"app_id": "wx1", "secret": "secret"}]'}, "is a sample"),
        ({"ALLOWED_HOSTS": ""}, "ALLOWED_HOSTS"),
        ({"TRUSTED_PROXIES": "10.0.0.1"}, "TRUSTED_PROXY_HOPS=0"),
        (
            {"TRUSTED_PROXY_HOPS": "1", "TRUSTED_PROXIES": "10.0.0.1,0.0.0.0/0"},
            "0.0.0.0/0 lets strangers",
        ),
        (
            {"TRUSTED_PROXY_HOPS": "1", "TRUSTED_PROXIES": "0.0.0.0/1,128.0.0.0/1"},
            "128.0.0.0/1 lets strangers",
        ),
        ({"TRUSTED_PROXY_HOPS": "1", "TRUSTED_PROXIES": "::/0"}, "::/0 lets strangers"),
        ({"TRUSTED_PROXY_HOPS": "1", "TRUSTED_PROXIES": ","}, "lists none"),
    ],
)
def test_an_open_door_is_refused(tmp_path, changes, word):
    assert any(word in fault for fault in faults_of(tmp_path, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"TRUSTED_PROXY_HOPS": "1"},
        {"TRUSTED_PROXY_HOPS": "2", "TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8, 9.9.9.9"},
    ],
    ids=str,
)
def test_proxies_of_our_own_may_speak_for_clients(tmp_path, changes):
    assert load(tmp_path, **changes).transport.trusted_proxies


def test_one_key_for_two_purposes_is_refused(tmp_path):
    key = secrets.token_hex(32)
    faults = faults_of(tmp_path, JWT_KEY=key, DATA_KEY=key)
    assert any("must differ" in fault for fault in faults)


def test_missing_secrets_are_not_made_up(tmp_path):
    faults = faults_of(tmp_path, JWT_KEY="", ID_KEY="")
    assert [fault.split()[0] for fault in faults] == ["JWT_KEY", "ID_KEY"]
    assert not (tmp_path / "secrets").exists()


def test_the_demo_app_is_refused(tmp_path):
    faults = faults_of(tmp_path, WECHAT_APPS="", WECHAT_SECRET=secrets.token_hex(16))
    assert any("demo app" in fault for fault in faults)


def test_mounted_secrets_are_read(tmp_path):
    path = tmp_path / "key"
    path.write_text(secrets.token_hex(32))
    settings = load(tmp_path, JWT_KEY="", JWT_KEY_FILE=str(path))
    assert settings.secrets.jwt_key.hex() == path.read_text()


def test_a_stale_private_redis_is_not_followed(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/redis_url").write_text("redis://127.0.0.1:7777/0")
    assert "7777" not in load(tmp_path, REDIS_URL="").redis.url


def test_flower_may_listen_elsewhere_when_that_is_meant(tmp_path):
    changes = {"FLOWER_HOST": "0.0.0.0", "FLOWER_ALLOW_REMOTE": "true"}
    assert load(tmp_path, **changes).flower.allow_remote


def test_the_second_key_is_held_to_the_same_rules(tmp_path):
    sample = faults_of(tmp_path, JWT_KEY_PREVIOUS="00" * 32)
    key = secrets.token_hex(32)
    shared = faults_of(tmp_path, DATA_KEY=key, JWT_KEY_PREVIOUS=key)
    assert any("JWT_KEY_PREVIOUS is a sample" in fault for fault in sample)
    assert any("must differ" in fault for fault in shared)


def test_secrets_that_everybody_can_read_are_refused(tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o755)
    key = folder / "jwt_key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o644)
    (fault,) = faults_of(tmp_path, JWT_KEY="")
    assert "jwt_key can be read by everybody" in fault
    key.chmod(0o640)
    assert load(tmp_path, JWT_KEY="").production
    key.chmod(0o644)
    folder.chmod(0o700)
    assert load(tmp_path, JWT_KEY="").production


def test_a_short_token_is_called_short(tmp_path):
    assert "ADMIN_TOKEN needs a length of 16 at least" in faults_of(
        tmp_path, ADMIN_TOKEN="x"
    )


def test_the_internal_listener_may_be_elsewhere_when_that_is_meant(tmp_path):
    changes = {"OPS_HOST": "0.0.0.0", "OPS_ALLOW_REMOTE": "true"}
    assert load(tmp_path, **changes).http.ops_allow_remote
