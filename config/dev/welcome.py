"""What `make run` says once everything is healthy: addresses, logins, what next."""

from __future__ import annotations

from config.dev.ports import reachable, uses_simulator
from config.secrets import secrets_directory
from config.settings import Settings


def welcome(settings: Settings, *, seconds: float) -> str:
    """Return the text; Flower's login is the only secret it shows."""
    http, flower = settings.http, settings.flower
    web = f"http://{reachable(http.web_host)}:{http.web_port}"
    ops = f"http://{reachable(http.ops_host)}:{http.ops_port}"
    login = settings.secrets.flower_login.get_secret_value()
    rows = {
        "public API": f"{web}/api/hello",
        "API docs": f"{ops}/docs",
        "metrics, readiness": f"{ops}/metrics  {ops}/readyz",
        "Flower": f"http://{reachable(flower.host)}:{flower.port}  login {login}",
        "WeChat": settings.wechat.api_base
        + ("  (simulator)" if uses_simulator(settings) else ""),
        "admin token": f"in {secrets_directory(settings.var_dir)}/admin_token",
        "logs": f"{settings.var_dir}/log/",
    }
    lines = [f"  {name:20} {value}" for name, value in rows.items()]
    head = f"Kuaida is ready after {seconds:.1f} s. Ctrl-C stops everything."
    following = "Next, in another terminal:  make demo"
    return "\n".join(["", head, *lines, following, ""])
