"""What `make run` tells its processes so that all end within its own grace."""

import pytest

from config.dev.stack import child_environment
from config.settings import load_settings


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, ("8", "5.0")),
        ({"STOP_GRACE_S": "1"}, ("1", "0.0")),
        ({"STOP_GRACE_S": "60"}, ("30", "20.0")),
        ({"GRACEFUL_TIMEOUT_S": "3", "SOFT_SHUTDOWN_S": "2"}, ("3", "2.0")),
    ],
)
def test_stops_are_shortened_to_the_grace_of_the_runner(tmp_path, given, told):
    settings = load_settings({"VAR_DIR": str(tmp_path), **given}, env_file=None)

    environ = child_environment(settings)

    assert (environ["GRACEFUL_TIMEOUT_S"], environ["SOFT_SHUTDOWN_S"]) == told
    assert settings.http.graceful_timeout_s == int(given.get("GRACEFUL_TIMEOUT_S", 30))
