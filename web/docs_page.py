"""`/openapi.json` and the page that shows it; every asset comes from this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from flask import Response, request
from flask_swagger_ui import get_swaggerui_blueprint

from web.answers import JSON
from web.openapi.document import build_document
from web.ops_pages import PAGES
from web.visit import visit_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask import Flask

    from web.routes import Route

TITLE: Final = "Kuaida"
API_VERSION: Final = "1"
DOCUMENT_PATH: Final = "/openapi.json"
# Without validatorUrl the page asks a public server about our document; trying a
# route from here would reach the internal listener, which does not serve it.
_PAGE_OPTIONS: Final[dict[str, object]] = {
    "app_name": TITLE,
    "validatorUrl": None,
    "supportedSubmitMethods": [],
}
# The page's own inline script and styles; nothing from anywhere else.
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
)


def add_docs(app: Flask, routes: Sequence[Route]) -> None:
    """Add the document of ``routes`` and its page to ``app``."""
    content = msgspec.json.encode(
        build_document(routes, title=TITLE, version=API_VERSION, pages=PAGES)
    )
    page = get_swaggerui_blueprint("/docs", DOCUMENT_PATH, config=_PAGE_OPTIONS)
    page.after_request(_same_origin)
    app.register_blueprint(page)

    @app.get("/docs")
    def docs_without_slash() -> Response:
        # The page loads its assets beside itself, so its address ends in a slash.
        visit_of(request.environ).route = "/docs"
        return Response(status=308, headers={"Location": "/docs/"})

    @app.get(DOCUMENT_PATH)
    def openapi_document() -> Response:
        visit_of(request.environ).route = DOCUMENT_PATH
        return Response(content, content_type=JSON)


def _same_origin(response: Response) -> Response:
    visit = visit_of(request.environ)
    visit.route = "/docs"
    visit.content_policy = _POLICY
    return response
