"""Serves declared routes: token, admission, body, handler, envelope, in this order.

What a route wants is said in `web/routes.py`; errors rise to the handlers that
`install_error_handlers` puts into the Flask app.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flask import g, request
from werkzeug.exceptions import HTTPException

from config.logging import get_logger
from models.errors import KuaidaError, Unauthenticated
from web.admit import Admitter
from web.answers import REST, wants_lines
from web.errors import refusal_of
from web.idempotency import answer_once, read_key, read_once, repeat_last
from web.request_body import read_body, read_optional_body
from web.routes import Auth, Call, File, Limit, Lines
from web.server.environ import LINE_KEY
from web.services.caller import Caller
from web.services.listeners import QUIET_LINE
from web.strict_json import parse_object
from web.validation import check_form, read_query, read_struct
from web.visit import visit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import msgspec
    from flask import Flask

    from config.process_settings import HttpSettings
    from web.answers import Answer
    from web.auth import TokenCheck
    from web.routes import Route
    from web.services.caller import Claims
    from web.services.roster import Services
    from web.visit import Visit

_log: Final = get_logger("web.dispatch")


class Dispatcher:
    """Turns declared routes into Flask views of one app."""

    def __init__(
        self,
        http: HttpSettings,
        tokens: TokenCheck,
        services: Callable[[], Services],
    ) -> None:
        self._http = http
        self._tokens = tokens
        self._services = services
        self._door = Admitter(services)

    def register(self, app: Flask, routes: Iterable[Route]) -> None:
        """Add ``routes`` to ``app``; OPTIONS is not answered, we need no CORS."""
        for route in routes:
            app.add_url_rule(
                route.path,
                route.name,
                self._noted(self._view(route)),
                methods=[route.method],
                provide_automatic_options=False,
            )
            if not route.takes_head:
                for rule in app.url_map.iter_rules(route.name):
                    # werkzeug adds it to each GET.
                    (rule.methods or set()).discard("HEAD")

    def _view(self, route: Route) -> Callable[..., Answer]:
        spec, handler = route.spec, self._door.counting_misses(route)
        identifies = spec.auth is Auth.USER
        admits = spec.limit in {Limit.READ, Limit.WRITE}
        keep_s = self._http.idempotency_key_s

        def view(**path: str) -> Answer:
            environ = request.environ
            visit = visit_of(environ)
            visit.route = route.path
            identity = self._identify(environ, visit) if identifies else None
            if admits:
                told = self._admit(route, visit, identity, path)
                if told is not None:
                    return told
            key = read_key(environ) if route.writes else None
            arguments, body = self._arguments(route, environ)
            call = self._call(visit, identity)
            if spec.line is not None:
                call.line = environ.get(LINE_KEY, QUIET_LINE)
                call.wants_lines = wants_lines(environ.get("HTTP_ACCEPT", ""))
            produce = partial(handler, call, *arguments, **path)
            if spec.idempotent and key is not None:
                call.once = read_once(key, route, call, (path, body), keep_s)
                return REST.success(visit, answer_once(call, call.once, produce))
            made = produce()
            return _told(visit, made)

        return view

    def _admit(
        self, route: Route, visit: Visit, identity: Claims | None, path: dict[str, str]
    ) -> Answer | None:
        """Let the request in, or return the kept answer that ended its session."""
        try:
            self._door.admit(route, visit, identity)
        except Unauthenticated:
            kept = None
            if route.spec.may_end_itself:
                kept = self._last_answer(route, self._call(visit, identity), path)
            if kept is None:
                raise
            return REST.success(visit, kept)
        return None

    def _last_answer(
        self, route: Route, call: Call, path: dict[str, str]
    ) -> msgspec.Raw | None:
        """Return what is kept for this request; None whatever is wrong with it."""
        environ = request.environ
        with suppress(KuaidaError, HTTPException):
            key = read_key(environ)
            if key is not None:
                _, body = self._arguments(route, environ)
                keep_s = self._http.idempotency_key_s
                return repeat_last(
                    call, read_once(key, route, call, (path, body), keep_s)
                )
        return None

    def _call(self, visit: Visit, identity: Claims | None) -> Call:
        return Call(visit, _caller(visit), self._services, self._read_token, identity)

    def _noted(self, view: Callable[..., Answer]) -> Callable[..., Answer]:
        """Return ``view``, whose refusals of persons are kept."""

        def serve(**path: str) -> Answer:
            try:
                return view(**path)
            except KuaidaError as error:
                self._door.note(visit_of(request.environ), error)
                raise

        return serve

    def _identify(self, environ: dict[str, Any], visit: Visit) -> Claims:
        claims = self._placed(self._tokens.claims(environ.get("HTTP_AUTHORIZATION")))
        visit.user_id, visit.app_id = claims.user_id, claims.app_id
        g.claims = claims
        return claims

    def _read_token(self, token: str) -> Claims:
        return self._placed(self._tokens.read(token))

    def _placed(self, claims: Claims) -> Claims:
        """Return ``claims`` with their app; tokens of ours name it themselves."""
        if claims.app_id:
            return claims
        return self._services().sessions.placed(claims)

    def _arguments(
        self, route: Route, environ: dict[str, Any]
    ) -> tuple[list[object], dict[str, Any] | None]:
        """Return what the handler takes, and the body as it was sent."""
        spec = route.spec
        query = read_query(spec.query, environ.get("QUERY_STRING", ""))
        arguments: list[object] = [] if query is None else [query]
        if route.body is None:
            return arguments, None
        value = self._read(route, environ)
        body = read_struct(route.body, value)
        if spec.forms:
            check_form(value, spec.forms)
        if spec.body is not None:
            arguments.insert(0, body)
        return arguments, value

    def _read(self, route: Route, environ: dict[str, Any]) -> dict[str, Any]:
        """Return the body as parsed; one that may be left out is then empty."""
        read = read_body if route.needs_body else read_optional_body
        raw = read(
            environ,
            limit=route.spec.body_bytes(self._http),
            seconds=self._http.body_deadline_s,
        )
        if not raw and not route.needs_body:
            return {}
        return parse_object(raw, self._http.json_depth)


def install_error_handlers(app: Flask) -> None:
    """Answer every exception of ``app`` with the envelope."""
    app.register_error_handler(
        Exception, lambda error: refuse(error, visit_of(request.environ))
    )


def refuse(error: Exception, visit: Visit) -> Answer:
    """Return the answer that tells ``error``; what we did not expect is logged."""
    refusal = refusal_of(error)
    if refusal.reason == "internal":
        _log.error("request_failed", error=type(error).__name__, exc_info=error)
    told = REST.failure(visit, refusal)
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        told.headers.add("Allow", ", ".join(sorted(allowed)))
    return told


def _told(visit: Visit, made: object) -> Answer:
    if isinstance(made, Lines):
        return REST.stream(visit, made)
    if isinstance(made, File):
        return REST.file(visit, made)
    return REST.success(visit, made)


def _caller(visit: Visit) -> Caller:
    return Caller(
        visit.ip, visit.device_id, visit.request_id, visit.deadline, visit.show_quota
    )
