"""What the internal listener serves past the declared routes, as the document tells it.

Answers for machines and readers without a token: see `web/readiness.py`,
`web/ops_metrics.py` and `web/docs_page.py`.
"""

from __future__ import annotations

from typing import Any, Final

from web.answers import JSON
from web.openapi.answers import headers_of
from web.openapi.document import INTERNAL
from web.openapi.examples import REF

Json = dict[str, Any]
_PART: Final[Json] = {
    "type": "object",
    "required": ["ok", "detail"],
    "properties": {"ok": {"type": "boolean"}, "detail": {"type": "string"}},
}
_READINESS: Final[Json] = {
    "type": "object",
    "required": ["ready", "parts"],
    "properties": {
        "ready": {"type": "boolean"},
        "parts": {"type": "object", "additionalProperties": _PART},
    },
}
_WELL: Final[Json] = {
    "type": "object",
    "required": ["code", "msg", "data", "request_id", "server_time"],
    "properties": {"code": {"const": 0}, "data": _READINESS},
}
_NOT_READY: Final[Json] = {
    "allOf": [
        {"$ref": REF.format(name="Failure")},
        {
            "type": "object",
            "properties": {"reason": {"const": "unavailable"}, "data": _READINESS},
        },
    ]
}


def _page(summary: str, responses: Json) -> Json:
    refused = {
        "description": "method_not_allowed",
        "headers": headers_of("X-Request-Id", "Allow"),
        "content": {JSON: {"schema": {"$ref": REF.format(name="Failure")}}},
    }
    operation: Json = {
        "tags": ["internal"],
        "summary": summary,
        "responses": {**responses, "405": refused},
        "security": [],
    }
    return {"get": operation, "servers": INTERNAL}


def _told(description: str, content_type: str, schema: Json, *more: str) -> Json:
    return {
        "description": description,
        "headers": headers_of("X-Request-Id", *more),
        "content": {content_type: {"schema": schema}},
    }


_TEXT: Final[Json] = {"type": "string"}
PAGES: Final[dict[str, Json]] = {
    "/readyz": _page(
        "See whether requests can be served, part by part",
        {
            "200": _told("At least one store answers", JSON, _WELL),
            "503": _told("No store answers", JSON, _NOT_READY, "Retry-After"),
        },
    ),
    "/metrics": _page(
        "Scrape the figures of all processes",
        {"200": _told("Prometheus' text format", "text/plain", _TEXT)},
    ),
    "/docs": _page(
        "Go to the page that shows this document",
        {
            "308": {
                "description": "It is at `/docs/`",
                "headers": headers_of("X-Request-Id", "Location"),
            }
        },
    ),
    "/docs/": _page(
        "Read this document as a page",
        {"200": _told("The page", "text/html", _TEXT)},
    ),
    "/openapi.json": _page(
        "Read this document", {"200": _told("OpenAPI 3.1", JSON, {"type": "object"})}
    ),
}
