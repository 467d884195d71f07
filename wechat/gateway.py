"""The wired WeChat client of a process: the only module here that reads settings.

`web` and `tasks` open one and close it; all apps share its connections and breakers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from prometheus_client import Counter, Histogram

from config.clock import Deadline
from config.metrics.wechat import (
    BREAKER_OPEN,
    BREAKER_OPENED,
    WECHAT_CALLS,
    WECHAT_REFUSED_FULL,
    WECHAT_SECONDS,
    WECHAT_TOKEN_REFRESHES,
)
from config.settings import Settings
from config.wechat_settings import WeChatApp, WeChatSettings
from models.errors import FieldFault, InvalidInput
from wechat.access_token import AccessTokens
from wechat.answers import WeChatSession
from wechat.breaker import Breaker, BreakerPolicy, Cause, Share, State
from wechat.breakers import Breakers
from wechat.calls import Caller, CallLimits
from wechat.client import App, BusyPolicy, WeChatClient
from wechat.errors import PathFull
from wechat.token_store import TokenPolicy, TokenStore
from wechat.transport import PooledTransport, Transport, TransportLimits


class Shelf(Protocol):
    """What the gateway needs of `models.stores`."""

    @property
    def access_tokens(self) -> TokenStore:
        """The shared store of access tokens."""

    @property
    def shut_paths(self) -> Share:
        """What the processes know of each other's breakers."""


class Gateway:
    """The clients of all configured apps over one transport."""

    def __init__(
        self, clients: Mapping[str, WeChatClient], transport: Transport
    ) -> None:
        self._clients = clients
        self._transport = transport

    @property
    def app_ids(self) -> tuple[str, ...]:
        """The configured apps, in the order of the settings."""
        return tuple(self._clients)

    def client(self, app_id: str) -> WeChatClient:
        """Return the client of one app; raises InvalidInput for an unknown one."""
        client = self._clients.get(app_id)
        if client is None:
            fault = FieldFault("app_id", "unknown_app", "this app is not served here")
            message = "unknown app_id"
            raise InvalidInput(message, faults=(fault,))
        return client

    def code2session(
        self, app_id: str, code: str, *, deadline: Deadline
    ) -> WeChatSession:
        """Exchange a login code; raises InvalidInput or any WeChatError."""
        return self.client(app_id).code2session(code, deadline=deadline)

    def close(self) -> None:
        """Close the idle connections."""
        self._transport.close()


class CallMetrics:
    """Feeds the metrics; label children are kept, since finding one is the cost."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], Counter] = {}
        self._seconds: dict[str, Histogram] = {}

    def called(self, path: str, outcome: str, seconds: float) -> None:
        """Count one call and its time; paths and outcomes are from fixed lists."""
        counter = self._counts.get((path, outcome))
        if counter is None:
            counter = self._counts[path, outcome] = WECHAT_CALLS.labels(path, outcome)
        counter.inc()
        if outcome == PathFull.label:
            WECHAT_REFUSED_FULL.labels(path).inc()
        histogram = self._seconds.get(path)
        if histogram is None:
            histogram = self._seconds[path] = WECHAT_SECONDS.labels(path)
        histogram.observe(seconds)

    def refreshed(self, outcome: str) -> None:
        """Count one fetch of an access token."""
        WECHAT_TOKEN_REFRESHES.labels(outcome).inc()


def open_gateway(
    settings: Settings, stores: Shelf, *, transport: Transport | None = None
) -> Gateway:
    """Wire a gateway; ``transport`` stands in for the network in tests.

    Raises ValueError when the API base is plain http in production.
    """
    wechat = settings.wechat
    transport = transport or _network(settings)
    caller = Caller(
        transport,
        CallLimits(
            wechat.read_timeout_s,
            wechat.fair_wait_s,
            # A share that leaves nothing would refuse every call.
            places=max(1, int(wechat.pool_size * wechat.path_share)),
            place_wait_s=wechat.pool_wait_s,
        ),
        breakers=_breakers(wechat, stores.shut_paths),
        observer=CallMetrics(),
    )
    clients = {
        app.app_id: _client(app, caller, stores.access_tokens, wechat)
        for app in wechat.apps
    }
    return Gateway(clients, transport)


def _network(settings: Settings) -> PooledTransport:
    wechat = settings.wechat
    limits = TransportLimits(
        wechat.connect_timeout_s,
        wechat.pool_size,
        wechat.pool_wait_s,
        wechat.max_answer_bytes,
        wechat.idle_s,
    )
    production = settings.env == "production"
    return PooledTransport(wechat.api_base, limits, allow_plain=not production)


def _breakers(wechat: WeChatSettings, share: Share) -> Breakers:
    policy = BreakerPolicy(
        wechat.breaker_failures, wechat.breaker_open_s, wechat.read_timeout_s
    )

    def new_breaker(path: str) -> Breaker:
        # A gauge that nobody has set yet would be missing from the dashboard.
        _show_breaker(path, State.CLOSED, None)
        return Breaker(path, policy, share=share, watch=_show_breaker)

    return Breakers(new_breaker, share, look_s=wechat.breaker_share_s)


def _show_breaker(path: str, state: State, cause: Cause) -> None:
    BREAKER_OPEN.labels(path).set(0 if state is State.CLOSED else 1)
    if cause is not None:
        BREAKER_OPENED.labels(path, cause).inc()


def _client(
    app: WeChatApp, caller: Caller, store: TokenStore, wechat: WeChatSettings
) -> WeChatClient:
    secret = app.secret.get_secret_value()
    tokens = AccessTokens(
        (app.app_id, secret),
        caller,
        store,
        policy=TokenPolicy(
            wechat.token_refresh_margin_s,
            lease_s=wechat.token_lease_s,
            wait_s=wechat.token_wait_s,
            backoff_s=wechat.token_backoff_s,
        ),
    )
    busy = BusyPolicy(wechat.busy_retries, wechat.busy_wait_s)
    return WeChatClient(App(app.app_id, secret), caller, tokens, busy=busy)
