"""Reading the control API's input: what is wrong is said in one clear sentence."""

from __future__ import annotations

import base64
import re
from dataclasses import fields
from typing import Any, TypeVar

import orjson

from wechat.simulator.state import SimRules
from wechat.simulator.wire import Request

_LONGEST = 200
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_SESSION_KEY_BYTES = 16
Text = TypeVar("Text", bound=str)


class BadInput(Exception):
    """The control call cannot be understood; the text is its answer."""


def parse(request: Request) -> dict[str, Any]:
    """Return the query of a GET or DELETE, the body's object of a POST."""
    if request.method != "POST":
        return dict(request.query)
    try:
        found = orjson.loads(request.body or b"{}")
    except orjson.JSONDecodeError:
        message = "the body must be JSON"
        raise BadInput(message) from None
    if not isinstance(found, dict):
        message = "the body must be a JSON object"
        raise BadInput(message)
    return found


def only(given: dict[str, Any], *names: str) -> None:
    """Refuse fields that the call does not know."""
    unknown = sorted(given.keys() - set(names))
    if unknown:
        expected = ", ".join(names) or "nothing"
        message = f"unknown field {unknown[0]!r}; expected {expected}"
        raise BadInput(message)


def text(given: dict[str, Any], name: str, longest: int = _LONGEST) -> str | None:
    """Return an optional text; absent and null are None."""
    value = given.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        message = f"{name} must be a text of 1 to {longest} characters"
        raise BadInput(message)
    return value


def required(given: dict[str, Any], name: str) -> str:
    """Return a text that must be there."""
    value = text(given, name)
    if value is None:
        message = f"{name} is missing"
        raise BadInput(message)
    return value


def choice(given: dict[str, Any], name: str, choices: tuple[str, ...]) -> str | None:
    """Return an optional text out of ``choices``."""
    value = text(given, name)
    if value is not None and value not in choices:
        message = f"{name} must be one of {', '.join(choices)}"
        raise BadInput(message)
    return value


def number(given: dict[str, Any], name: str, most: float) -> float | None:
    """Return an optional number between 0 and ``most``."""
    value = given.get(name)
    if value is None:
        return None
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not plain or not 0 <= value <= most:
        message = f"{name} must be a number from 0 to {most}"
        raise BadInput(message)
    return float(value)


def whole(given: dict[str, Any], name: str, *, least: int = 0) -> int | None:
    """Return an optional whole number, also one written as text in a query."""
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        message = f"{name} must be a whole number of at least {least}"
        raise BadInput(message)
    return value


def session_key(given: dict[str, Any]) -> str | None:
    """Return the optional session_key: base64 of 16 bytes."""
    value = text(given, "session_key")
    if value is None:
        return None
    try:
        size = len(base64.b64decode(value, validate=True))
    except ValueError:
        size = 0
    if size != _SESSION_KEY_BYTES:
        message = "session_key must be the base64 text of 16 bytes"
        raise BadInput(message)
    return value


def set_rules(rules: SimRules, given: dict[str, Any]) -> None:
    """Change switches by name; all are checked before the first is changed."""
    kinds = {field.name: type(getattr(rules, field.name)) for field in fields(rules)}
    only(given, *kinds)
    chosen = {name: _rule(given, name, kinds[name]) for name in given}
    for name, value in chosen.items():
        setattr(rules, name, value)


def _rule(given: dict[str, Any], name: str, kind: type) -> object:
    value = given[name]
    if kind is bool and isinstance(value, bool):
        return value
    if kind in {int, float}:
        return kind(number(given, name, 1e9) or 0)
    if name == "pages" and (value is None or isinstance(value, list)):
        return None if value is None else tuple(str(page) for page in value)
    message = f"{name} has the wrong type"
    raise BadInput(message)
