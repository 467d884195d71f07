"""The whole document: paths, schemas, servers and locks.

Schemas come from the same `msgspec` structs that validate; the error answers of a
route follow from its token, its limit, its body and the reasons it names.
Neighbours: `requests.py` and `answers.py` describe one route, `examples.py` fills in.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

from web.answers import Failure
from web.openapi.answers import answers_of, refusals
from web.openapi.examples import REF, Json
from web.openapi.requests import PATH_VARIABLE, body_of, parameters_of
from web.routes import Auth

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from web.routes import Route

# Two listeners, one document; the internal one serves it and so is where it is.
PUBLIC: Final = [
    {
        "url": "{address}",
        "description": "The public listener",
        "variables": {"address": {"default": "http://localhost:8000"}},
    }
]
INTERNAL: Final = [{"url": "/", "description": "The internal listener"}]
_SECURITY: Final[dict[Auth, list[dict[str, list[str]]]]] = {
    Auth.PUBLIC: [],
    Auth.USER: [{"bearer": []}],
    Auth.ADMIN: [{"admin": []}],
}
_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "admin": {
        "type": "http",
        "scheme": "bearer",
        "description": "The admin token; on the internal listener only.",
    },
}


def build_document(
    routes: Sequence[Route],
    *,
    title: str,
    version: str,
    pages: Mapping[str, Json] = MappingProxyType({}),
) -> Json:
    """Return the document of ``routes`` as plain data.

    ``pages`` are paths served past the declarations; see `web/ops_pages.py`.
    """
    shapes = [shape for route in routes for shape in _shapes(route)]
    _, schemas = msgspec.json.schema_components(
        [*dict.fromkeys(shapes), Failure], ref_template=REF
    )
    paths: dict[str, Json] = {}
    for route in routes:
        path = PATH_VARIABLE.sub(r"{\1}", route.path)
        item = paths.setdefault(path, {})
        item[route.method.lower()] = _operation(route, schemas)
        if route.spec.auth is Auth.ADMIN:
            item["servers"] = INTERNAL
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": _INTRODUCTION},
        "servers": PUBLIC,
        "paths": {**paths, **pages},
        "components": {
            "schemas": schemas,
            "examples": refusals(),
            "securitySchemes": _SCHEMES,
        },
    }


def _shapes(route: Route) -> Iterable[type[msgspec.Struct]]:
    spec = route.spec
    shapes = (spec.answer, route.body, spec.query, spec.line)
    return (shape for shape in shapes if shape)


def _operation(route: Route, schemas: Mapping[str, Json]) -> Json:
    spec = route.spec
    operation: Json = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": spec.summary,
        "parameters": parameters_of(route),
        "responses": answers_of(route, schemas),
        "security": _SECURITY[spec.auth],
    }
    if spec.description:
        operation["description"] = spec.description
    body = body_of(route, schemas)
    if body is not None:
        operation["requestBody"] = body
    return operation


_INTRODUCTION: Final = """\
Every answer is the envelope `{code, msg, data, request_id, server_time}`. Success is
HTTP 200 with code 0. Errors carry the truthful HTTP status, a stable `reason`, and an
`action`: what the client does now. Clients must ignore answer fields they do not know.

Whole numbers in a body may be written `22`, `22.0` or `2.2e1`: JSON knows no
difference. In a query they are digits.
"""
