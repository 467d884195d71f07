"""What a route answers: its data or file, and every refusal, each with an example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from web.answers import JSON, NDJSON
from web.errors import FIELD_TEXTS_ZH, PROBLEMS, is_final
from web.idempotency import REPLAYED
from web.openapi.example_values import MOMENT, REQUEST_ID
from web.openapi.examples import REF, Json, example_of
from web.openapi.reasons import reasons_of
from web.routes import Limit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from web.routes import Route

LOG_IN: Final = 401
WAIT_MS: Final = 1000
SHOWN: Final = "#/components/examples/"
_LIMIT_HEADERS: Final = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_FAULTS: Final = {
    "validation_failed": ("limit", "out_of_range"),
    "unknown_field": ("nick_name", "unknown_field"),
}


def refusals() -> Json:
    """Return every refusal as a client without a wish for a language gets it."""
    return {reason: {"value": _refusal(reason)} for reason in PROBLEMS}


def _refusal(reason: str) -> Json:
    problem = PROBLEMS[reason]
    told: Json = {
        "code": problem.code,
        "msg": problem.zh,
        "reason": reason,
        "action": problem.action,
        "data": None,
        "request_id": REQUEST_ID,
        "server_time": MOMENT,
    }
    if problem.action == "wait":
        told["retry_after_ms"] = WAIT_MS
    if reason in _FAULTS:
        field, why = _FAULTS[reason]
        told["errors"] = [{"field": field, "reason": why, "msg": FIELD_TEXTS_ZH[why]}]
    return told


def answers_of(route: Route, schemas: Mapping[str, Json]) -> dict[str, Json]:
    """Return the answers of ``route`` by their status."""
    return {"200": _success(route, schemas), **_failures(route)}


def _success(route: Route, schemas: Mapping[str, Json]) -> Json:
    name = route.spec.answer.__name__
    example = example_of(name, schemas)
    data = {"$ref": REF.format(name=name)}
    if route.spec.file:
        return {
            "description": "The file, without the envelope",
            "headers": headers_of(
                "X-Request-Id", "Content-Disposition", *_limit_headers(route)
            ),
            "content": {route.spec.file: {"schema": data, "example": example}},
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
        "content": {
            JSON: {"schema": schema, "example": _envelope(example)},
            **_lines(route, schemas),
        },
    }


def _envelope(data: object) -> Json:
    told = {"code": 0, "msg": "ok", "data": data}
    return told | {"request_id": REQUEST_ID, "server_time": MOMENT}


def _lines(route: Route, schemas: Mapping[str, Json]) -> Json:
    line = route.spec.line
    if line is None:
        return {}
    name = line.__name__
    schema = {"$ref": REF.format(name=name)}
    return {NDJSON: {"schema": schema, "example": example_of(name, schemas)}}


def _failures(route: Route) -> dict[str, Json]:
    by_status: dict[str, list[str]] = {}
    for reason in reasons_of(route):
        by_status.setdefault(str(PROBLEMS[reason].status), []).append(reason)
    return {status: _failure(route, reasons) for status, reasons in by_status.items()}


def _failure(route: Route, reasons: list[str]) -> Json:
    told = {"type": "object", "properties": {"reason": {"enum": reasons}}}
    schema = {"allOf": [{"$ref": REF.format(name="Failure")}, told]}
    return {
        "description": ", ".join(reasons),
        "headers": headers_of(*_failure_headers(route, reasons)),
        "content": {
            JSON: {
                "schema": schema,
                "examples": {reason: {"$ref": SHOWN + reason} for reason in reasons},
            }
        },
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
