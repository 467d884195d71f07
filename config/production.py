"""What production refuses: samples, open doors and stores that cannot carry it.

Called by `config/settings.py` with the groups that are legal by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from config.secrets import looks_like_sample
from config.setting_group import LOOPBACK, url_scheme
from config.setting_tree import Settings
from config.transport_settings import Network
from config.wechat_settings import DEMO_APP_ID

# api.weixin.qq.com and the other access points of WeChat's docs (api2, sh.api, ...).
WECHAT_DOMAIN = ".weixin.qq.com"
MIN_TOKEN = 32
MIN_PASSWORD = 12
# The widest networks that belong to one owner: 10.0.0.0/8 and fc00::/7.
MIN_PREFIX = {4: 8, 6: 7}


def production_faults(settings: Settings) -> list[str]:
    """Return every reason why ``settings`` may not serve real users.

    A group that is None was illegal by itself and is left out.
    """
    return [
        fault
        for needs, check in CHECKS
        if all(getattr(settings, name) is not None for name in needs)
        for fault in check(settings)
    ]


def _secret_faults(settings: Settings) -> Iterator[str]:
    secrets = settings.secrets
    keys = {"JWT_KEY": secrets.jwt_key, "DATA_KEY": secrets.data_key}
    keys["ID_KEY"] = secrets.id_key
    if secrets.jwt_key_previous is not None:
        keys["JWT_KEY_PREVIOUS"] = secrets.jwt_key_previous.key
    for name, key in keys.items():
        if looks_like_sample(key.hex()):
            yield f"{name} is a sample: draw it at random"
    if len(set(keys.values())) < len(keys):
        yield f"{', '.join(keys)} must differ: one key, one purpose"
    token = secrets.admin_token.get_secret_value()
    if len(token) < MIN_TOKEN or looks_like_sample(token):
        yield f"ADMIN_TOKEN must be at least {MIN_TOKEN} random characters"


def _database_faults(settings: Settings) -> Iterator[str]:
    if url_scheme(settings.database.url) == "sqlite":
        yield "DATABASE_URL is SQLite, which has one writer: use MySQL or MariaDB"


def _log_faults(settings: Settings) -> Iterator[str]:
    if settings.logs.debug:
        yield "DEBUG must be off: it shows source code to strangers"


def _limit_faults(settings: Settings) -> Iterator[str]:
    if not settings.limits.enabled:
        yield "RATE_LIMITS=off leaves the login open to floods"


def _transport_faults(settings: Settings) -> Iterator[str]:
    transport = settings.transport
    if not transport.allowed_hosts:
        yield "ALLOWED_HOSTS must name the hosts we answer to"
    if not transport.trusted_proxy_hops:
        if "trusted_proxies" in transport.model_fields_set:
            yield "TRUSTED_PROXIES are listed, but TRUSTED_PROXY_HOPS=0 ignores them"
        return
    if not transport.trusted_proxies:
        yield "TRUSTED_PROXY_HOPS counts proxies, but TRUSTED_PROXIES lists none"
    for network in filter(_belongs_to_everybody, transport.trusted_proxies):
        yield f"TRUSTED_PROXIES: {network} lets strangers say who they are"


def _belongs_to_everybody(network: Network) -> bool:
    return network.prefixlen < MIN_PREFIX[network.version]


def _http_faults(settings: Settings) -> Iterator[str]:
    http = settings.http
    if http.ops_host not in LOOPBACK and not http.ops_allow_remote:
        yield "OPS_HOST is not loopback: set OPS_ALLOW_REMOTE=true if meant"


def _flower_faults(settings: Settings) -> Iterator[str]:
    flower = settings.flower
    password = settings.secrets.flower_login.get_secret_value().partition(":")[2]
    if not flower.read_only:
        yield "FLOWER_READ_ONLY must be true: Flower can stop workers otherwise"
    if len(password) < MIN_PASSWORD or looks_like_sample(password):
        yield f"FLOWER_LOGIN needs a random password of {MIN_PASSWORD} characters"
    if flower.host not in LOOPBACK and not flower.allow_remote:
        yield "FLOWER_HOST is not loopback: set FLOWER_ALLOW_REMOTE=true if meant"


def _wechat_faults(settings: Settings) -> Iterator[str]:
    base = settings.wechat.api_base
    if url_scheme(base) != "https":
        yield "WECHAT_API_BASE must be https: http is the simulator"
    elif not f".{urlsplit(base).hostname}".endswith(WECHAT_DOMAIN):
        yield f"WECHAT_API_BASE is not below {WECHAT_DOMAIN}: it gets every AppSecret"
    for app in settings.wechat.apps:
        if app.app_id == DEMO_APP_ID:
            yield "WECHAT_APPS must list your mini-programs, not the demo app"
        elif looks_like_sample(app.secret.get_secret_value()):
            yield f"WECHAT_APPS: the secret of {app.app_id} is a sample"


CHECKS: tuple[tuple[tuple[str, ...], Callable[[Settings], Iterator[str]]], ...] = (
    (("secrets",), _secret_faults),
    (("database",), _database_faults),
    (("logs",), _log_faults),
    (("limits",), _limit_faults),
    (("transport",), _transport_faults),
    (("http",), _http_faults),
    (("flower", "secrets"), _flower_faults),
    (("wechat",), _wechat_faults),
)
