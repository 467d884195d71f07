"""Wiring of the public listener: settings in, Flask app out; nothing is decided here.

`web/ops_app.py` wires the internal one, whose libraries stay out of this process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from config.queues import Queue
from models.database import open_database
from models.per_process import PerProcess
from models.stores.container import open_stores
from web.auth import TokenCheck
from web.cli import add_commands
from web.dispatch import Dispatcher, install_error_handlers, refuse
from web.errors import is_final
from web.lean_flask import LeanFlask
from web.middleware import Door
from web.services.backlog_guard import BacklogGuard
from web.services.event_hub import EventHub
from web.services.events import EventService
from web.services.exports import ExportService
from web.services.guests import GuestService
from web.services.idempotency import AnswerBook
from web.services.local_buckets import LocalBuckets
from web.services.login import LoginService
from web.services.notifications import NotificationService
from web.services.open_data import OpenDataService
from web.services.operations import OperationService
from web.services.phone import PhoneService
from web.services.phone_calls import PhoneCalls
from web.services.profile import ProfileService
from web.services.result_files import ResultFiles
from web.services.roster import Services
from web.services.session_list import open_session_list
from web.services.sessions import SessionService
from web.services.support_desk import open_support
from web.views import (
    auth,
    events,
    exports,
    guests,
    hello,
    me,
    open_data,
    operations,
    phone,
    sessions,
)
from wechat.gateway import open_gateway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from flask import Flask

    from config.host_names import HostName
    from config.settings import Settings
    from web.routes import Route

# Parts of a form that anything may parse, a library included.
MAX_FORM_PARTS: Final = 20
PUBLIC_ROUTES: Final[Sequence[Route]] = (
    *hello.ROUTES.routes,
    *auth.ROUTES.routes,
    *guests.ROUTES.routes,
    *me.ROUTES.routes,
    *open_data.ROUTES.routes,
    *phone.ROUTES.routes,
    *sessions.ROUTES.routes,
    *events.ROUTES.routes,
    *operations.ROUTES.routes,
    *exports.ROUTES.routes,
)


def create_app(
    settings: Settings, *, services: Callable[[], Services] | None = None
) -> Flask:
    """Return the public app; ``services`` stands in for the real ones in tests.

    Nothing is connected here: each process opens its own stores at first use, so
    the app may be made before a fork.
    """
    app = new_app("kuaida", settings, settings.transport.allowed_hosts)
    opened = services or PerProcess(lambda: open_services(settings))
    dispatcher = Dispatcher(settings.http, TokenCheck(app, settings), opened)
    dispatcher.register(app, PUBLIC_ROUTES)
    add_commands(app, settings)
    return app


def open_services(settings: Settings) -> Services:
    """Open the stores of this process and the services over them."""
    stores = open_stores(settings)
    database = open_database(settings, stores)
    gateway = open_gateway(settings, stores)
    hub = EventHub(settings, stores.event_stream, database)
    long = settings.operations
    exports_guard = BacklogGuard(database, Queue.BULK, long.bulk_backlog, long)
    open_data_service = OpenDataService(settings, stores, gateway)
    return Services(
        admission=stores.admission,
        refusals=stores.refusals,
        local_buckets=LocalBuckets(settings.limits),
        login=LoginService(settings, stores, database, gateway),
        guests=GuestService(settings, stores, database),
        sessions=SessionService(settings, stores, database),
        my_sessions=open_session_list(settings, stores, database),
        profiles=ProfileService(database, stores.users),
        open_data=open_data_service,
        phones=PhoneService(
            settings,
            stores,
            database,
            open_data=open_data_service,
            calls=PhoneCalls(settings, stores, database, gateway),
        ),
        events=EventService(settings, hub, database),
        support=open_support(settings, stores, database, gateway),
        answers=AnswerBook(database, keeps=is_final),
        operations=OperationService(long, database, hub),
        exports=ExportService(long, database, exports_guard),
        files=ResultFiles(settings.secrets, database),
        notifications=NotificationService(settings, stores, database),
    )


def new_app(
    name: str, settings: Settings, allowed_hosts: Iterable[HostName] = ()
) -> LeanFlask:
    """Return an empty app behind the door, answering errors with the envelope.

    The internal listener has no ``allowed_hosts``: its callers are machines that know
    it by many names, and what it guards it guards by a token.
    """
    app = LeanFlask(name)
    # No view of ours reads a form; a library's that did must not parse without bounds.
    app.config.update(
        MAX_CONTENT_LENGTH=settings.http.body_limit,
        MAX_FORM_MEMORY_SIZE=settings.http.body_limit,
        MAX_FORM_PARTS=MAX_FORM_PARTS,
    )
    install_error_handlers(app)
    door = Door(app.wsgi_app, settings, refuse, allowed_hosts)
    app.wsgi_app = door  # type: ignore[method-assign]
    return app
