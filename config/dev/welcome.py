"""What `make run` says once everything is healthy: addresses, logins, what next."""

from __future__ import annotations

from config.dev.ports import reachable, uses_simulator
from config.secrets import read_secret, secrets_directory
from config.settings import Settings


def welcome(settings: Settings, *, seconds: float) -> str:
    """Return the text; Flower's login is the only secret it shows, and not to all.

    In production it goes where the logs go, so there it says where the login stands.
    """
    http, flower = settings.http, settings.flower
    web = f"http://{reachable(http.web_host)}:{http.web_port}"
    ops = f"http://{reachable(http.ops_host)}:{http.ops_port}"
    secrets = settings.secrets
    login = secrets.flower_login.get_secret_value()
    if settings.production:
        login = _place(settings, "flower_login", login)
    token = _place(settings, "admin_token", secrets.admin_token.get_secret_value())
    rows = {
        "public API": f"{web}/api/hello",
        "API docs": f"{ops}/docs",
        "metrics, readiness": f"{ops}/metrics  {ops}/readyz",
        "Flower": f"http://{reachable(flower.host)}:{flower.port}  login {login}",
        "WeChat": settings.wechat.api_base
        + ("  (simulator)" if uses_simulator(settings) else ""),
        "admin token": token,
        "logs": f"{settings.var_dir}/log/",
    }
    lines = [f"  {name:20} {value}" for name, value in rows.items()]
    head = f"Kuaida is ready after {seconds:.1f} s. Ctrl-C stops everything."
    following = f"Next, in another terminal:  make demo{_moved(settings)}"
    return "\n".join(["", head, *lines, following, ""])


def _place(settings: Settings, name: str, value: str) -> str:
    """Return where a secret stands: in our own file, or where somebody set it."""
    path = secrets_directory(settings.var_dir) / name
    return f"in {path}" if read_secret(path) == value else f"as {name.upper()} says"


def _moved(settings: Settings) -> str:
    """Return what another terminal must be told: ports and folder not as usual."""
    http = settings.http
    usual = {"WEB_PORT": 8000, "OPS_PORT": 8001, "SIM_PORT": 8002}
    given = {
        "WEB_PORT": http.web_port,
        "OPS_PORT": http.ops_port,
        "SIM_PORT": http.sim_port,
    }
    words = [f" {name}={given[name]}" for name in usual if given[name] != usual[name]]
    if settings.var_dir.name != "var":
        words.append(f" VAR_DIR={settings.var_dir}")
    return "".join(words)
