"""Parts of `make run` that need no process: Procfile, ports, samples, templates."""

import json
import re

import pytest
from pydantic import SecretStr

from config.dev.env_example import render
from config.dev.log_copy import LogCopy, for_eyes
from config.dev.ports import free_redis_port, uses_simulator
from config.dev.procfile import read_procfile
from config.dev.tiers import tier_of
from config.dev.welcome import welcome
from config.notification_templates import FIELD_LIMITS, TEMPLATES
from config.settings import GROUPS, load_settings, setting_names


@pytest.fixture
def load(tmp_path):
    def loader(**environ):
        return load_settings({"VAR_DIR": str(tmp_path)} | environ, env_file=None)

    return loader


def test_procfile_lines_are_read_in_order(tmp_path):
    path = tmp_path / "Procfile"
    path.write_text("# remark\n\nweb: exec a --b: c\nops: exec d\n")
    assert list(read_procfile(path).items()) == [
        ("web", "exec a --b: c"),
        ("ops", "exec d"),
    ]


@pytest.mark.parametrize("text", ["web exec a\n", "web: a\nweb: b\n", "Web:\n"])
def test_a_bad_procfile_names_its_line(tmp_path, text):
    path = tmp_path / "Procfile"
    path.write_text(text)
    with pytest.raises(ValueError, match="line"):
        read_procfile(path)


def test_the_simulator_is_ours_only_on_our_port(load):
    assert uses_simulator(load())
    assert uses_simulator(load(WECHAT_API_BASE="http://localhost:8002"))
    assert not uses_simulator(load(WECHAT_API_BASE="https://api.weixin.qq.com"))


def test_a_wanted_redis_port_is_kept():
    assert free_redis_port(7001) == 7001


def test_log_files_are_moved_away_when_full(tmp_path):
    path = tmp_path / "web.log"
    log = LogCopy(path, max_bytes=100)
    for number in range(10):
        log.feed(json.dumps({"event": f"line {number}"}).encode() + b"\n")
    log.close()
    assert path.with_suffix(".log.1").exists()
    assert path.stat().st_size <= 130
    assert "line 9" in log.tail(1)


def test_torn_lines_are_put_together(tmp_path):
    log = LogCopy(tmp_path / "web.log", max_bytes=10_000)
    for piece in (b'{"event":', b' "a"}\n{"ev', b'ent": "b"}\nTrace', b"back\n"):
        log.feed(piece)
    log.close()
    lines = (tmp_path / "web.log").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["a", "b", "Traceback"]


def test_a_terminal_for_eyes_leaves_the_file_to_machines(tmp_path, capfd):
    log = LogCopy(tmp_path / "web.log", max_bytes=10_000, show=for_eyes())
    log.feed(b'{"event": "served", "level": "info", "path": "/a\\nb"}\n{torn\nplain\n')
    log.close()

    lines = (tmp_path / "web.log").read_text().splitlines()
    served, torn, plain = map(json.loads, lines)
    shown = capfd.readouterr().out.splitlines()
    assert served["path"] == "/a\nb"
    assert (torn["event"], plain["event"]) == ("{torn", "plain")
    assert len(shown) == 3
    assert "served" in shown[0]
    assert "path=/a\\nb" in shown[0]
    assert not any(line.startswith("{") for line in shown)


def test_the_sample_shows_defaults():
    text = render()
    assert "# WEB_PORT=8000\n" in text
    assert "# JWT_KEY=\n" in text
    assert '"login.ip": "120/20"' in text


def test_every_default_of_the_sample_reads_back_as_the_default(load):
    lines = re.findall(r"^# ([A-Z0-9_]+)=(.*)$", render(), re.MULTILINE)
    shown = dict(lines)
    assert len(shown) == len(lines)
    assert set(shown) == {"KUAIDA_ENV", "VAR_DIR", *setting_names()}
    written = {name: text for name, text in shown.items() if name != "VAR_DIR"}
    assert load(**written) == load()


def test_only_what_depends_on_others_or_is_nothing_has_no_default_in_the_sample(load):
    shown = dict(re.findall(r"^# ([A-Z0-9_]+)=(.*)$", render(), re.MULTILINE))
    for group in GROUPS.values():
        for field in group.model_fields.values():
            if not field.is_required() and not shown[field.alias]:
                default = field.get_default(call_default_factory=True)
                assert default in (None, "", (), SecretStr("")), field.alias


@pytest.mark.parametrize("production", [False, True])
def test_the_welcome_keeps_the_password_of_production(load, production):
    settings = load()
    if production:
        settings = settings.model_copy(update={"env": "production"})
    login = settings.secrets.flower_login.get_secret_value()
    text = welcome(settings, seconds=1)
    assert (login in text) is not production
    assert (f"in {settings.var_dir}/secrets/flower_login" in text) is production
    assert f"in {settings.var_dir}/secrets/admin_token" in text
    assert settings.secrets.admin_token.get_secret_value() not in text


def test_the_welcome_names_no_file_for_a_login_that_was_set(load):
    settings = load(FLOWER_LOGIN="ops:q7w2x9z4m1c8")
    text = welcome(settings.model_copy(update={"env": "production"}), seconds=1)
    assert "login as FLOWER_LOGIN says" in text
    assert "q7w2x9z4m1c8" not in text


def test_tiers_are_folders():
    assert tier_of("tests/unit/a/test_x.py::test_y[1/2]") == "unit"


def test_template_fields_are_of_known_kinds():
    fields = [field for template in TEMPLATES.values() for field in template.fields]
    assert {field.kind for field in fields} <= set(FIELD_LIMITS)
    assert {t.key for t in TEMPLATES.values()} == set(TEMPLATES)
    assert [f.name for f in TEMPLATES["order_update"].fields] == [
        "character_string1",
        "thing2",
        "phrase3",
        "time4",
    ]
