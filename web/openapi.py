"""The OpenAPI 3.1 document, made from the declarations that serve the requests.

Schemas come from the same `msgspec` structs that validate; the error answers of a
route follow from its token, its limit, its body and the reasons it names.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from web.answers import JSON, NDJSON, Failure
from web.errors import PROBLEMS, is_final
from web.idempotency import HEADER, REPLAYED
from web.lean_flask import PathName
from web.routes import Auth, Limit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from web.routes import Route, Spec

REF: Final = "#/components/schemas/{name}"
LOG_IN: Final = 401
# Two listeners, one document; the internal one serves it and so is where it is.
PUBLIC: Final = [
    {
        "url": "{address}",
        "description": "The public listener",
        "variables": {"address": {"default": "http://localhost:8000"}},
    }
]
INTERNAL: Final = [{"url": "/", "description": "The internal listener"}]
Json = dict[str, Any]
_PATH_VARIABLE: Final = re.compile(r"<(?:\w+:)?(\w+)>")
_LIMIT_HEADERS: Final = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_ALWAYS: Final = (
    "validation_failed",
    "method_not_allowed",
    "internal",
    "unavailable",
)
_BODY_REASONS: Final = (
    "invalid_json",
    "unknown_field",
    "request_timeout",
    "body_too_large",
    "unsupported_media_type",
)
_TOKEN_REASONS: Final = {
    Auth.PUBLIC: (),
    Auth.USER: (
        "token_missing",
        "token_invalid",
        "token_expired",
        "session_revoked",
        "user_banned",
    ),
    Auth.ADMIN: ("token_missing", "token_invalid"),
}
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
_REQUEST_HEADERS: Final = (
    ("X-Request-Id", "Echoed when sane, else a new one is made."),
    ("X-Device-Id", "The client's own device id; part of the rate limits."),
    ("Accept-Language", "Language of `msg`: zh (default) or en."),
)


_REPEATED: Final = (
    "Names one intent: sent again with the same body it is joined while it runs and "
    "answered with the same data afterwards, for 24 hours."
)
_NOT_KEPT: Final = "Must be a key; no answer is kept under it. "


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
        path = _PATH_VARIABLE.sub(r"{\1}", route.path)
        item = paths.setdefault(path, {})
        item[route.method.lower()] = _operation(route)
        if route.spec.auth is Auth.ADMIN:
            item["servers"] = INTERNAL
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": _INTRODUCTION},
        "servers": PUBLIC,
        "paths": {**paths, **pages},
        "components": {
            "schemas": schemas,
            "securitySchemes": _SCHEMES,
        },
    }


def reasons_of(route: Route) -> list[str]:
    """Return every reason this route may answer, in the order of the table."""
    spec = route.spec
    reasons = {*_ALWAYS, *spec.reasons}
    if route.body is not None:
        reasons.update(_BODY_REASONS)
    reasons.update(_TOKEN_REASONS[spec.auth])
    if spec.limit is not Limit.NONE:
        reasons.add("rate_limited")
    if spec.auth is Auth.USER:
        reasons.add("high_risk_user")
        if spec.limit is Limit.WRITE and not spec.unverified:
            reasons.add("verification_required")
    if spec.idempotent:
        reasons.add("idempotency_key_reused")
    return [reason for reason in PROBLEMS if reason in reasons]


def _shapes(route: Route) -> Iterable[type[msgspec.Struct]]:
    spec = route.spec
    shapes = (spec.answer, route.body, spec.query, spec.line)
    return (shape for shape in shapes if shape)


def _operation(route: Route) -> Json:
    spec = route.spec
    operation: Json = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": spec.summary,
        "parameters": [*_path_parameters(route), *_parameters(route)],
        "responses": {"200": _success(route), **_failures(route)},
        "security": _SECURITY[spec.auth],
    }
    if spec.description:
        operation["description"] = spec.description
    if route.body is not None:
        operation["requestBody"] = {
            "required": route.needs_body,
            "content": {JSON: {"schema": _body(route.body, spec.forms)}},
        }
    return operation


def _body(body: type[msgspec.Struct], forms: tuple[tuple[str, ...], ...]) -> Json:
    schema: Json = {"$ref": REF.format(name=body.__name__)}
    if not forms:
        return schema
    names = {name for form in forms for name in form}
    closed = [
        {
            "required": list(form),
            "properties": dict.fromkeys(sorted(names.difference(form)), False),
        }
        for form in forms
    ]
    return {"allOf": [schema], "oneOf": closed}


def _path_parameters(route: Route) -> list[Json]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": f"^{PathName.regex}$"},
        }
        for name in _PATH_VARIABLE.findall(route.path)
    ]


def _parameters(route: Route) -> list[Json]:
    headers = [
        {
            "name": name,
            "in": "header",
            "description": words,
            "schema": {"type": "string"},
        }
        for name, words in _REQUEST_HEADERS
    ]
    timeout = {"type": "integer", "minimum": 100, "maximum": 30000, "default": 5000}
    headers.append(
        {"name": "X-Timeout-Ms", "in": "header", "schema": timeout,
         "description": "How long the client waits; everything below inherits it."}
    )  # fmt: skip
    if route.writes:
        headers.append(_idempotency_key(route.spec))
    return [*_query_parameters(route.spec.query), *headers]


def _idempotency_key(spec: Spec) -> Json:
    return {
        "name": HEADER,
        "in": "header",
        "description": _REPEATED if spec.idempotent else _NOT_KEPT + spec.repeated,
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    }


def _query_parameters(query: type[msgspec.Struct] | None) -> list[Json]:
    if query is None:
        return []
    _, components = msgspec.json.schema_components([query], ref_template=REF)
    schema = components[query.__name__]
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": field}
        for name, field in schema["properties"].items()
    ]


def _success(route: Route) -> Json:
    data = {"$ref": REF.format(name=route.spec.answer.__name__)}
    if route.spec.file:
        return {
            "description": "The file, without the envelope",
            "headers": headers_of(
                "X-Request-Id", "Content-Disposition", *_limit_headers(route)
            ),
            "content": {route.spec.file: {"schema": data}},
        }
    schema = {
        "type": "object",
        "required": ["code", "msg", "data", "request_id", "server_time"],
        "properties": {
            "code": {"const": 0},
            "msg": {"const": "ok"},
            "data": data,
            "request_id": {"type": "string"},
            "server_time": {"type": "integer", "description": "epoch milliseconds"},
        },
    }
    return {
        "description": "Done",
        "headers": headers_of(
            "X-Request-Id", *_limit_headers(route), *_replay_headers(route)
        ),
        "content": {JSON: {"schema": schema}, **_lines(route)},
    }


def _lines(route: Route) -> Json:
    line = route.spec.line
    return (
        {NDJSON: {"schema": {"$ref": REF.format(name=line.__name__)}}} if line else {}
    )


def _failures(route: Route) -> dict[str, Json]:
    by_status: dict[str, list[str]] = {}
    for reason in reasons_of(route):
        by_status.setdefault(str(PROBLEMS[reason].status), []).append(reason)
    return {
        status: _failure(reasons, _failure_headers(route, reasons))
        for status, reasons in by_status.items()
    }


def _failure(reasons: list[str], headers: Iterable[str]) -> Json:
    told = {"type": "object", "properties": {"reason": {"enum": reasons}}}
    schema = {"allOf": [{"$ref": REF.format(name="Failure")}, told]}
    return {
        "description": ", ".join(reasons),
        "headers": headers_of(*headers),
        "content": {JSON: {"schema": schema}},
    }


def _failure_headers(route: Route, reasons: list[str]) -> Iterator[str]:
    """Yield what these refusals may carry; limits are told by all that were counted."""
    yield "X-Request-Id"
    if any(PROBLEMS[reason].action == "wait" for reason in reasons):
        yield "Retry-After"
    if any(PROBLEMS[reason].code == LOG_IN for reason in reasons):
        yield "WWW-Authenticate"
    if "method_not_allowed" in reasons:
        # Refused before anything is counted.
        yield "Allow"
        return
    yield from _limit_headers(route)
    if any(is_final(reason) for reason in reasons):
        yield from _replay_headers(route)


def _limit_headers(route: Route) -> tuple[str, ...]:
    if route.spec.limit is Limit.NONE:
        return ()
    return _LIMIT_HEADERS


def _replay_headers(route: Route) -> tuple[str, ...]:
    return (REPLAYED,) if route.spec.idempotent else ()


def headers_of(*names: str) -> Json:
    """Return the headers that an answer may have, described."""
    return {name: {"schema": {"type": "string"}} for name in names}


_INTRODUCTION: Final = """\
Every answer is the envelope `{code, msg, data, request_id, server_time}`. Success is
HTTP 200 with code 0. Errors carry the truthful HTTP status, a stable `reason`, and an
`action`: what the client does now. Clients must ignore answer fields they do not know.

Whole numbers in a body may be written `22`, `22.0` or `2.2e1`: JSON knows no
difference. In a query they are digits.
"""
