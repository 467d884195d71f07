"""Ports are asked about before anything starts; needs real sockets."""

import socket

import pytest

from config.dev.ports import port_faults
from config.settings import load_settings


@pytest.fixture
def load(tmp_path):
    def loader(**environ):
        return load_settings({"VAR_DIR": str(tmp_path)} | environ, env_file=None)

    return loader


def test_two_names_for_one_port_are_refused(load):
    settings = load(OPS_PORT="8000", WEB_PORT="8000")
    faults = port_faults(settings, private_redis=False)
    assert any("OPS_PORT and WEB_PORT are both 8000" in fault for fault in faults)


def test_a_taken_port_is_named_with_its_setting(load):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        faults = port_faults(load(WEB_PORT=str(port)), private_redis=True)
    assert faults[0].startswith(f"port {port} is taken: set WEB_PORT")
