"""Wiring of the internal listener: metrics, readiness, documents, admin routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from models.database import open_database
from models.per_process import PerProcess
from models.stores.container import open_stores
from web.app import PUBLIC_ROUTES, new_app, open_services
from web.auth import TokenCheck
from web.dispatch import Dispatcher
from web.docs_page import add_docs
from web.ops_guard import guard_admin_routes
from web.ops_metrics import Exposition, JournalCollector
from web.readiness import Readiness, add_readiness
from web.views import (
    accounts,
    hello,
    limits,
    notifications,
    outbox,
    queues,
    risk,
    schedule,
    timeline,
    wechat_keys,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flask import Flask

    from config.settings import Settings
    from web.routes import Route
    from web.services.roster import Services

# The name `workers/health.py` gives it; web must not import workers.
RELAY_HEARTBEAT: Final = "relay.alive"
ADMIN_ROUTES: Final[Sequence[Route]] = (
    *outbox.ROUTES.routes,
    *notifications.ROUTES.routes,
    *queues.ROUTES.routes,
    *schedule.ROUTES.routes,
    *timeline.ROUTES.routes,
    *risk.ROUTES.routes,
    *limits.ROUTES.routes,
    *wechat_keys.ROUTES.routes,
    *accounts.ROUTES.routes,
)
OPS_ROUTES: Final[Sequence[Route]] = (
    *(route for route in hello.ROUTES.routes if route.path == "/healthz"),
    *ADMIN_ROUTES,
)


def create_ops_app(
    settings: Settings, *, services: Callable[[], Services] | None = None
) -> Flask:
    """Return the internal app; ``services`` stands in for the real ones in tests.

    Each process opens its stores at first use.
    """
    app = new_app("kuaida-ops", settings)
    guard_admin_routes(app, settings)
    opened = services or PerProcess(lambda: open_services(settings))
    tokens = TokenCheck(app, settings)
    Dispatcher(settings.http, tokens, opened).register(app, OPS_ROUTES)
    add_docs(app, (*PUBLIC_ROUTES, *ADMIN_ROUTES))
    stores = PerProcess(lambda: open_stores(settings))
    database = PerProcess(lambda: open_database(settings))
    Exposition(
        app,
        JournalCollector(stores, database, settings.broker_prefix, settings.var_dir),
    )
    heartbeat = settings.run_dir / RELAY_HEARTBEAT
    add_readiness(app, Readiness(stores, database, heartbeat))
    return app
