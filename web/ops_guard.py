"""The lock of the internal listener's admin routes: one token, compared in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import request

from web.auth import require_admin

if TYPE_CHECKING:
    from flask import Flask

    from config.settings import Settings

ADMIN_PREFIX: Final = "/admin/v1"


def guard_admin_routes(app: Flask, settings: Settings) -> None:
    """Refuse every path below the prefix without the token, unknown paths included."""
    token = settings.secrets.admin_token.get_secret_value()

    @app.before_request
    def guard() -> None:
        if request.path.startswith(ADMIN_PREFIX):
            require_admin(request.headers.get("Authorization"), token)
