"""From parsed JSON or a query string to a `msgspec.Struct`, or to named faults."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec

from models.errors import FieldFault, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

StructT = TypeVar("StructT", bound=msgspec.Struct)

MAX_QUERY_FIELDS: Final = 32  # far above any route of ours; bounds the parsing
_UNKNOWN: Final = re.compile(r"unknown field `(.*)`", re.DOTALL)
_MISSING: Final = re.compile(r"missing required field `(.*?)`")
_AT: Final = re.compile(r" - at `(?:key in )?\$\.?(.*)`$", re.DOTALL)
_OUT_OF_RANGE: Final = re.compile(r"(length|[<>]=|\bmultiple)")
_WHOLE: Final = re.compile(r"-?[0-9]+")
_SHOWN_NAME: Final = 64  # characters of a client's own field name we repeat


def read_struct(kind: type[StructT], value: Mapping[str, Any]) -> StructT:
    """Return ``value`` as ``kind``; raises `InvalidInput` naming every bad field."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _invalid(kind, value, error, strict=True) from error


def check_form(value: Mapping[str, Any], forms: Sequence[Sequence[str]]) -> None:
    """Raise `InvalidInput` unless the fields of ``value`` are those of one form.

    The faults follow the form that was nearest to it.
    """
    given = set(value)
    form = max(forms, key=lambda names: len(given.intersection(names)))
    missing = [
        _fault(name, "missing", "required") for name in form if name not in given
    ]
    words = f"not together with {', '.join(form)}"
    extra = [_fault(name, "invalid", words) for name in sorted(given.difference(form))]
    if missing or extra:
        raise InvalidInput("fields of no form", faults=(*missing, *extra))


def read_query(kind: type[StructT] | None, query: str) -> StructT | None:
    """Return the query string as ``kind``; None stands for a route without one.

    Unknown, repeated and undecodable parameters raise `InvalidInput`, and so do
    numbers that are not spelled as whole ones, such as ``1.0``.
    """
    if not query and kind is None:
        return None
    value = _single_values(query)
    if kind is None:
        faults = tuple(_fault(name, "unknown_field", "unknown") for name in value)
        raise InvalidInput("unknown query parameter", faults=faults)
    try:
        found = msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        invalid = _invalid(kind, value, error, strict=False)
        raise InvalidInput(str(error), faults=invalid.faults) from error
    faults = tuple(_all_faults(kind, value, strict=False))
    if faults:
        raise InvalidInput("not a whole number", faults=faults)
    return found


def _single_values(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            query,
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_QUERY_FIELDS,
        )
    except ValueError as error:
        fault = _fault("query", "invalid", "not a legal query string")
        raise InvalidInput(str(error), faults=(fault,)) from error
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            fault = _fault(name, "repeated", "given more than once")
            raise InvalidInput("repeated query parameter", faults=(fault,))
        values[name] = value
    return values


def _invalid(
    kind: type[msgspec.Struct],
    value: Mapping[str, Any],
    error: msgspec.ValidationError,
    *,
    strict: bool,
) -> InvalidInput:
    faults = tuple(_all_faults(kind, value, strict=strict)) or (_told(str(error), ""),)
    unknown = any(fault.reason == "unknown_field" for fault in faults)
    reason = "unknown_field" if unknown else "validation_failed"
    return InvalidInput(str(error), reason=reason, faults=faults)


def _all_faults(
    kind: type[msgspec.Struct], value: Mapping[str, Any], *, strict: bool
) -> list[FieldFault]:
    # msgspec stops at the first fault; a form wants them all, so ask field by field.
    faults: list[FieldFault] = []
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name, field in fields.items():
        if name not in value:
            if field.required:
                faults.append(_fault(name, "missing", "required"))
            continue
        try:
            told = msgspec.convert(value[name], field.type, strict=strict)
        except msgspec.ValidationError as error:
            faults.append(_told(str(error), name))
        else:
            if type(told) is int and not _WHOLE.fullmatch(str(value[name])):
                # Where not strict, msgspec reads "1.0" and "1e1" as well.
                faults.append(_fault(name, "wrong_type", "Expected a whole number"))
    unknown = [name for name in value if name not in fields]
    faults.extend(_fault(name, "unknown_field", "unknown field") for name in unknown)
    return faults


def _told(message: str, parent: str) -> FieldFault:
    at = _AT.search(message)
    words = message[: at.start()] if at else message
    inner = at.group(1) if at else ""
    path = f"{parent}.{inner}" if parent and inner else parent or inner
    for pattern, reason in ((_UNKNOWN, "unknown_field"), (_MISSING, "missing")):
        found = pattern.search(words)
        if found:
            path = f"{path}.{found.group(1)}" if path else found.group(1)
            return _fault(path, reason, reason.replace("_", " "))
    if words.startswith("Invalid enum value"):
        words = "not one of the allowed values"  # never repeat what a client sent
    return _fault(path, _reason_of(words), words)


def _reason_of(words: str) -> str:
    if _OUT_OF_RANGE.search(words):
        return "out_of_range"
    return "wrong_type" if ", got `" in words else "invalid"


def _fault(field: str, reason: str, msg: str) -> FieldFault:
    return FieldFault(field[:_SHOWN_NAME], reason, msg)
