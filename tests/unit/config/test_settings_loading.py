"""Reading settings: sources, their order, and all faults at once."""

import json

import pytest

from config.limit_settings import DEFAULT_RULES, Failures, Rule
from config.settings import (
    SettingsError,
    given_settings,
    load_settings,
    setting_names,
)
from config.wechat_settings import DEMO_APP_ID


@pytest.fixture
def load(tmp_path):
    def loader(**environ):
        return load_settings({"VAR_DIR": str(tmp_path)} | environ, env_file=None)

    return loader


def faults_of(load, **environ):
    with pytest.raises(SettingsError) as caught:
        load(**environ)
    return caught.value.faults


def test_defaults_run_on_one_machine(load, tmp_path):
    settings = load()
    assert settings.env == "dev"
    assert settings.database.url == f"sqlite:///{tmp_path}/kuaida.db"
    assert settings.redis.broker_url == settings.redis.url
    assert settings.wechat.api_base == "http://127.0.0.1:8002"
    assert [app.app_id for app in settings.wechat.apps] == [DEMO_APP_ID]
    assert settings.wechat.apps[0].secret == settings.secrets.wechat_secret


def test_var_dir_is_made_absolute(load):
    assert load(VAR_DIR="var").var_dir.is_absolute()


def test_simulator_port_moves_the_wechat_address(load):
    assert load(SIM_PORT="9002").wechat.api_base == "http://127.0.0.1:9002"


def test_broker_follows_redis_unless_told_otherwise(load):
    assert load(REDIS_URL="redis://r:1/0").redis.broker_url == "redis://r:1/0"
    settings = load(REDIS_URL="redis://r:1/0", BROKER_URL="amqp://q//")
    assert settings.redis.broker_url == "amqp://q//"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"TASK_LEASE_S": "15"}, "NOTIFICATION_CALL_S must be half of TASK_LEASE_S"),
        ({"NOTIFICATION_RECORD_S": "55"}, "NOTIFICATION_CALL_S + NOTIFICATION_RECORD"),
    ],
)
def test_limits_of_different_groups_agree(load, changes, named):
    (fault,) = faults_of(load, **changes)
    assert fault.startswith(named)


def test_a_group_that_is_wrong_by_itself_is_named_alone(load):
    (fault,) = faults_of(load, TASK_LEASE_S="soon", NOTIFICATION_RECORD_S="55")
    assert fault == "TASK_LEASE_S must be a whole number"


def test_the_running_private_redis_is_found_by_other_terminals(load, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/redis_url").write_text("redis://127.0.0.1:7777/0\n")
    assert load().redis.url == "redis://127.0.0.1:7777/0"
    assert load(REDIS_URL="redis://other:1/0").redis.url == "redis://other:1/0"


def test_a_file_names_the_value(load, tmp_path):
    path = tmp_path / "url"
    path.write_text("redis://from-file:1/0\n")
    assert load(REDIS_URL_FILE=str(path)).redis.url == "redis://from-file:1/0"


def test_the_variable_wins_over_its_file(load, tmp_path):
    path = tmp_path / "port"
    path.write_text("1111")
    assert load(WEB_PORT="2222", WEB_PORT_FILE=str(path)).http.web_port == 2222


def test_the_environment_wins_over_the_env_file(tmp_path):
    path = tmp_path / ".env"
    path.write_text(f"WEB_PORT=1111\nOPS_PORT=2222\nVAR_DIR={tmp_path}\n# a remark\n")
    settings = load_settings({"WEB_PORT": "3333"}, env_file=path)
    assert (settings.http.web_port, settings.http.ops_port) == (3333, 2222)


def test_an_empty_value_is_no_value(load):
    assert load(WEB_PORT="", RATE_LIMITS="").http.web_port == 8000


def test_given_settings_hold_no_defaults(tmp_path):
    given = given_settings({"WEB_PORT": "1", "PATH": "/bin"}, env_file=None)
    assert given == {"WEB_PORT": "1"}


def test_all_faults_come_at_once_and_show_no_value(load):
    faults = faults_of(
        load,
        WEB_PORT="many",
        DATABASE_URL="mysql://root:hunter2@db/kuaida",
        REDIS_URL="http://:hunter2@x",
        RATE_LIMITS='{"login.moon": "1/1"}',
        LOGIN_FAILURES="0/1",
        DATA_KEY_FILE="/does/not/exist",
        WECHAT_APPS='[{"app_id": "wx1"}]',
    )
    text = "\n".join(faults)
    for name in (
        "WEB_PORT",
        "DATABASE_URL",
        "REDIS_URL",
        "RATE_LIMITS",
        "LOGIN_FAILURES",
        "DATA_KEY_FILE",
        "WECHAT_APPS.0.secret",
    ):
        assert name in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    "url", ["redis+cluster://a:1", "rediss+cluster://a:1", "redis://a:1?cluster=true"]
)
def test_a_cluster_cannot_be_the_broker(load, url):
    assert any("Redis Cluster" in fault for fault in faults_of(load, BROKER_URL=url))


@pytest.mark.parametrize("port", ["0", "65536", "-1", "1.5"])
def test_ports_are_ports(load, port):
    assert faults_of(load, WEB_PORT=port)


@pytest.mark.parametrize("url", ["redis://h:port/0", "redis://[::1", "nonsense"])
def test_broken_addresses_are_faults(load, url):
    assert len(faults_of(load, REDIS_URL=url)) == 2


def test_unknown_environment_is_refused(load):
    assert "KUAIDA_ENV" in faults_of(load, KUAIDA_ENV="staging")[0]


def test_time_limits_must_stand_in_order(load):
    assert "TASK_SOFT_LIMIT_S" in faults_of(load, TASK_SOFT_LIMIT_S="60")[0]


def test_limits_merge_over_the_defaults(load):
    limits = load(RATE_LIMITS='{"login.ip": "9/0.5", "push.app": "5/5"}').limits
    expected = DEFAULT_RULES | {"login.ip": Rule(9, 0.5), "push.app": Rule(5, 5)}
    assert limits.rules == expected
    assert limits.enabled
    assert limits.login_failures == Failures(5, 300)


@pytest.mark.parametrize("kind", ["login", "read", "write", "push"])
@pytest.mark.parametrize("dimension", ["ip", "user", "device", "app"])
def test_every_pair_of_class_and_dimension_is_legal(load, kind, dimension):
    name = f"{kind}.{dimension}"
    rules = load(RATE_LIMITS=json.dumps({name: "7/2"})).limits.rules
    assert rules[name] == Rule(7, 2.0)


@pytest.mark.parametrize("word", ["off", "OFF", " off "])
def test_limits_can_be_switched_off(load, word):
    limits = load(RATE_LIMITS=word).limits
    assert not limits.enabled
    assert limits.rules == {}


@pytest.mark.parametrize(
    "rule", ["", "5", "0/1", "1/0", "a/b", "1/inf", "1/nan", "-1/1"]
)
def test_bad_limits_are_faults(load, rule):
    assert faults_of(load, RATE_LIMITS=json.dumps({"login.ip": rule}))


@pytest.mark.parametrize("text", ["[]", "{", "on", '"off"'])
def test_limits_that_are_no_table_are_faults(load, text):
    assert faults_of(load, RATE_LIMITS=text)


def test_host_names_are_split_and_lowered(load):
    given = "API.example.com, b.example.com:8443, ::1, [2001:DB8:0::1]:80,"
    hosts = load(ALLOWED_HOSTS=given).transport.allowed_hosts
    assert hosts == (
        ("api.example.com", ""),
        ("b.example.com", "8443"),
        ("::1", ""),
        ("2001:db8::1", "80"),
    )


@pytest.mark.parametrize(
    "hosts", ["*", "*.example.com", "https://a.cn", "a.cn/x", "a b", "[::1", "a.cn:x"]
)
def test_hosts_that_are_no_names_are_faults(load, hosts):
    assert "ALLOWED_HOSTS" in faults_of(load, ALLOWED_HOSTS=hosts)[0]


@pytest.mark.parametrize("networks", ["proxy", "10.0.0.1/8", "10.0.0.0/33", "::/129"])
def test_networks_that_are_none_are_faults(load, networks):
    assert "TRUSTED_PROXIES" in faults_of(load, TRUSTED_PROXIES=networks)[0]


def test_only_private_networks_are_trusted_by_default(load):
    trusted = load().transport.trusted_proxies
    assert trusted
    assert all(network.is_private for network in trusted)


def test_apps_are_read_with_their_secrets_hidden(load):
    apps = [{"app_id": "wx1", "secret": "s3cr3t", "dialect": "errno"}]
    settings = load(WECHAT_APPS=json.dumps(apps))
    assert settings.wechat.apps[0].secret.get_secret_value() == "s3cr3t"
    assert "s3cr3t" not in repr(settings)


@pytest.mark.parametrize(
    "apps",
    [
        "[]",
        "{}",
        "no json",
        '[{"app_id": "wx1", "secret": "a"}, {"app_id": "wx1", "secret": "b"}]',
        '[{"app_id": "wx1", "secret": "a", "dialect": "soap"}]',
        '[{"app_id": "wx1", "secret": "a", "encoding_aes_key": "short"}]',
        '[{"app_id": "wx1", "secret": "a", "colour": "red"}]',
    ],
)
def test_bad_apps_are_faults(load, apps):
    assert faults_of(load, WECHAT_APPS=apps)


def test_settings_cannot_be_changed(load):
    settings = load()
    with pytest.raises(ValueError, match="frozen"):
        settings.http.web_port = 1


def test_repr_holds_no_secret(load):
    settings = load(REDIS_URL="redis://:hunter2@r:1/0")
    text = repr(settings)
    assert "hunter2" not in text
    assert settings.secrets.jwt_key.hex() not in text
    assert repr(settings.secrets.jwt_key) not in text
    assert settings.secrets.admin_token.get_secret_value() not in text


def test_names_are_upper_case_words():
    assert all(name == name.upper() for name in setting_names())
