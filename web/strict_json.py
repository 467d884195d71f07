"""Strict JSON: what `msgspec` accepts minus duplicate keys and deep nesting.

msgspec itself refuses NaN, Infinity, lone surrogates, bad UTF-8, raw control
characters and trailing bytes (`tests/unit/web/test_strict_json.py` holds it to that).
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from models.errors import InvalidInput

_STRINGS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BRACKETS: Final = re.compile(rb"[\[{]|[\]}]")
_decode: Final = msgspec.json.Decoder().decode


def parse_object(body: bytes, max_depth: int) -> dict[str, Any]:
    """Return the one JSON object in ``body``.

    Raises `InvalidInput` (``invalid_json``) for everything else. Duplicate keys are
    found by counting: the members written (colons outside strings) must be as many
    as the members that survived in the parsed dicts.
    """
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(str(error), reason="invalid_json") from error
    if not isinstance(value, dict):
        raise InvalidInput("not one object", reason="invalid_json")
    skeleton = _STRINGS.sub(b"", body)
    if _too_deep(skeleton, max_depth):
        raise InvalidInput("nested too deeply", reason="invalid_json")
    if skeleton.count(b":") != _count_members(value):
        raise InvalidInput("duplicate key", reason="invalid_json")
    return value


def _too_deep(skeleton: bytes, max_depth: int) -> bool:
    if skeleton.count(b"{") + skeleton.count(b"[") <= max_depth:
        return False
    depth = 0
    for bracket in _BRACKETS.findall(skeleton):
        depth += 1 if bracket in b"[{" else -1
        if depth > max_depth:
            return True
    return False


def _count_members(value: dict[str, Any] | list[Any]) -> int:
    if isinstance(value, dict):
        count = len(value)
        children: Any = value.values()
    else:
        count = 0
        children = value
    for child in children:
        if child.__class__ is dict or child.__class__ is list:
            count += _count_members(child)
    return count
