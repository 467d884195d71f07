"""What a route takes: path, query, headers and body, with examples of bodies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from web.answers import JSON
from web.idempotency import HEADER
from web.lean_flask import PathName
from web.openapi.examples import REF, Json, example_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from web.routes import Route, Spec

PATH_VARIABLE: Final = re.compile(r"<(?:\w+:)?(\w+)>")
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


def parameters_of(route: Route) -> list[Json]:
    """Return what stands in path, query and headers."""
    return [*_path_parameters(route), *_parameters(route)]


def body_of(route: Route, schemas: Mapping[str, Json]) -> Json | None:
    """Return the body that ``route`` takes, None where none is looked at."""
    if route.body is None:
        return None
    name, forms = route.body.__name__, route.spec.forms
    told: Json = {"schema": _body(name, forms)}
    if forms:
        told["examples"] = {
            ", ".join(form): {"value": example_of(name, schemas, form)}
            for form in forms
        }
    else:
        told["example"] = example_of(name, schemas)
    return {"required": route.needs_body, "content": {JSON: told}}


def _body(name: str, forms: tuple[tuple[str, ...], ...]) -> Json:
    schema: Json = {"$ref": REF.format(name=name)}
    if not forms:
        return schema
    names = {field for form in forms for field in form}
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
        for name in PATH_VARIABLE.findall(route.path)
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
