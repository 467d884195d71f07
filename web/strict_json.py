"""Strict JSON: what `msgspec` accepts minus duplicate keys and deep nesting.

JSON has one kind of number: ``22.0`` is ``22`` here, as JSON Schema counts integers.
msgspec itself refuses NaN, Infinity, lone surrogates, bad UTF-8, raw control
characters and trailing bytes (`tests/unit/web/test_strict_json.py` holds it to that).
"""

from __future__ import annotations

import re
from math import isfinite
from typing import Any, Final

import msgspec

from models.errors import InvalidInput

_STRINGS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
# Beyond this a float no longer names one whole number.
_EXACT: Final = 2**53


def _number(text: str) -> float:
    """Return a number that was written with a point or an exponent."""
    value = float(text)
    if not isfinite(value):
        raise ValueError("out of range")
    return int(value) if value.is_integer() and abs(value) <= _EXACT else value


_decode: Final = msgspec.json.Decoder(float_hook=_number).decode


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
    members = _count_members(value, max_depth)
    # Mostly no string holds a colon, and one count proves it; else strip the strings.
    if body.count(b":") != members and _colons_outside_strings(body) != members:
        raise InvalidInput("duplicate key", reason="invalid_json")
    return value


def _colons_outside_strings(body: bytes) -> int:
    return _STRINGS.sub(b"", body).count(b":")


def _count_members(value: Any, depth_left: int) -> int:  # noqa: ANN401 -- any JSON
    if not depth_left:
        raise InvalidInput("nested too deeply", reason="invalid_json")
    if value.__class__ is dict:
        count = len(value)
        value = value.values()
    else:
        count = 0
    for child in value:
        if child.__class__ is dict or child.__class__ is list:
            count += _count_members(child, depth_left - 1)
    return count
