"""Ask about ports before anything starts, so that a busy one is one clear line."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from config.setting_group import LOCAL_HOST, LOOPBACK
from config.settings import Settings

REDIS_PORT = 6379
CONNECT_S = 0.5


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def answers(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((reachable(host), port), timeout=CONNECT_S):
            return True
    except OSError:
        return False


def reachable(host: str) -> str:
    """Return an address to connect to for an address to listen on."""
    return LOCAL_HOST if host in {"0.0.0.0", "::", ""} else host  # noqa: S104


def free_redis_port(wanted: int) -> int:
    """Return ``wanted``, else Redis's usual port, else any free one."""
    if wanted:
        return wanted
    if is_free(LOCAL_HOST, REDIS_PORT):
        return REDIS_PORT
    with socket.socket() as probe:
        probe.bind((LOCAL_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def uses_simulator(settings: Settings) -> bool:
    """Whether WECHAT_API_BASE points at the simulator that `make run` starts."""
    base = urlsplit(settings.wechat.api_base)
    return base.hostname in LOOPBACK and base.port == settings.http.sim_port


def port_faults(settings: Settings, *, private_redis: bool) -> list[str]:
    """Return one line per port that is taken or given twice."""
    http, flower = settings.http, settings.flower
    wanted = [
        ("WEB_PORT", http.web_host, http.web_port),
        ("OPS_PORT", http.ops_host, http.ops_port),
        ("FLOWER_PORT", flower.host, flower.port),
    ]
    if uses_simulator(settings):
        wanted.append(("SIM_PORT", http.sim_host, http.sim_port))
    if private_redis and settings.runner.redis_port:
        wanted.append(("REDIS_PORT", LOCAL_HOST, settings.runner.redis_port))
    faults, seen = [], dict[int, str]()
    for name, host, port in wanted:
        if port in seen:
            faults.append(f"{name} and {seen[port]} are both {port}: change one")
        elif not is_free(host, port):
            example = f"make run {name}={port + 1000}"
            faults.append(f"port {port} is taken: set {name}, e.g. `{example}`")
        seen[port] = name
    return faults
