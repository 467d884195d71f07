"""Flask without what an API of bytes does not use: cookies, redirects, URL building.

Public extension points only; `docs/decisions` holds the measured savings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from flask import Flask
from flask.sessions import NullSession, SessionInterface
from werkzeug.routing import BaseConverter, MapAdapter

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.wrappers import Request, Response

_NO_COOKIE: Final = NullSession()


class _NoSession(SessionInterface):
    """No cookie is read or written: callers are known by their token."""

    def open_session(self, *_: object) -> NullSession:
        return _NO_COOKIE

    def is_null_session(self, _: object) -> bool:
        return True

    def save_session(self, *_: object) -> None:
        """Save nothing."""


class PathName(BaseConverter):
    """The name of something in a path: visible ASCII, so that it equals itself only.

    MariaDB ignores spaces at the end when it compares; Redis and SQLite do not.
    """

    regex = "[!-.0-~]+"


class LeanFlask(Flask):
    """An app that matches paths exactly and never redirects."""

    session_interface = _NoSession()

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None)
        # `//x` and `/x/` are other paths, and get 404 rather than a redirect.
        self.url_map.merge_slashes = False
        self.url_map.converters = {**self.url_map.converters, "default": PathName}

    def full_dispatch_request(self) -> Response:
        """Run the view; Flask's hooks and signals only where some are registered."""
        if self.before_request_funcs or self.after_request_funcs:
            return super().full_dispatch_request()
        try:
            answer = self.dispatch_request()
        except Exception as error:  # noqa: BLE001 -- Flask's own rule for views
            answer = self.handle_user_exception(error)
        # Views and error handlers of ours return finished answers.
        return cast("Response", answer)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``func``: no view of ours is a coroutine, so none is inspected."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return the matcher of this request; the host plays no part in it."""
        if request is None:
            return None
        # Not `Map.bind`: it encodes the host name anew for every request.
        return MapAdapter(
            self.url_map,
            server_name="localhost",
            script_name="/",
            subdomain="",
            url_scheme=request.scheme,
            path_info=request.path,
            default_method=request.method,
        )
