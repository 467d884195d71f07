"""WeChat's rules for the fields of a subscribe message, asked before anything is sent.

A message WeChat would refuse is refused at acceptance, with the name of the field.
Lengths stand in `config/notification_templates.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Final

from config.notification_templates import FIELD_LIMITS, Template
from models.errors import FieldFault

_HAN: Final = "\u3400-\u4dbf\u4e00-\u9fff"
_DAY: Final = r"(?:\d{4}年\d{1,2}月\d{1,2}日|\d{4}([-/.])\d{1,2}%s\d{1,2})"
_SHORT_DAY: Final = (
    r"(?:\d{4}年\d{1,2}月|\d{1,2}月\d{1,2}日|\d{4}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2})"
)
_CLOCK: Final = r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?"


def _range(moment: str) -> re.Pattern[str]:
    """Return the pattern of one moment, or two joined by an ASCII tilde."""
    # Each day keeps its own separator, so the two halves name theirs apart.
    first, second = (moment.replace("%s", rf"\{number}") for number in (1, 2))
    return re.compile(f"{first}(?:~{second})?", re.ASCII)


_NUMBER: Final = re.compile(r"\d+", re.ASCII)
_CLOCK_PART: Final = re.compile(_CLOCK, re.ASCII)
_MOMENTS: Final = frozenset({"time", "date"})
# For days that name no year: one that has a 29th of February.
_ANY_YEAR: Final = "2000"
_YEAR_DIGITS: Final = 4

# Control characters and line ends are refused in all of them.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SHAPES: Final[dict[str, re.Pattern[str]]] = {
    "thing": re.compile(r".*"),
    "number": re.compile(r"-?\d+(?:\.\d+)?", re.ASCII),
    "letter": re.compile(r"[A-Za-z]*"),
    "symbol": re.compile(rf"[^A-Za-z0-9\s{_HAN}]*"),
    "character_string": re.compile(r"[\x20-\x7e]*"),
    "time": _range(rf"(?:{_DAY} ?)?{_CLOCK}"),
    "date": _range(rf"(?:{_DAY}|{_SHORT_DAY})(?: ?{_CLOCK})?"),
    "amount": re.compile(r"[¥$€£￥]?\d{1,10}(?:\.\d+)?元?", re.ASCII),
    "phone_number": re.compile(r"[0-9+\-()#* ]*"),
    "car_number": re.compile(rf"[{_HAN}A-Za-z0-9][A-Za-z0-9]*[{_HAN}A-Za-z0-9]?"),
    "name": re.compile(r".*"),
    "phrase": re.compile(rf"[{_HAN}]*"),
    "enum_string": re.compile(r".*"),
}
# A name with a Chinese character in it counts as a Chinese one.
_CHINESE_NAME: Final = 10
_ANY_HAN: Final = re.compile(f"[{_HAN}]")


def faults_of(template: Template, data: Mapping[str, object]) -> list[FieldFault]:
    """Return what is wrong with ``data``: it must fill exactly the template's fields.

    No fault quotes a value.
    """
    fields = {field.name: field for field in template.fields}
    faults = []
    for name, field in fields.items():
        if name not in data:
            faults.append(_fault(name, "missing", f"required: {field.meaning}"))
        elif found := _fault_in(name, field.kind, data[name]):
            faults.append(found)
    faults += [
        _fault(name, "unknown_field", "not a field of this template")
        for name in data
        if name not in fields
    ]
    return faults


def _fault_in(name: str, kind: str, value: object) -> FieldFault | None:
    if not isinstance(value, str):
        return _fault(name, "wrong_type", "must be a text")
    most = FIELD_LIMITS[kind]
    if kind == "name" and _ANY_HAN.search(value):
        most = _CHINESE_NAME
    if not value.strip():
        return _fault(name, "invalid", "must not be empty: use a placeholder")
    if len(value) > most:
        return _fault(name, "out_of_range", f"longer than {most} characters")
    if _CONTROL.search(value) or not _SHAPES[kind].fullmatch(value):
        return _fault(name, "invalid", f"not what WeChat takes as {kind}")
    if kind in _MOMENTS and not all(map(_exists, value.split("~"))):
        return _fault(name, "invalid", "no such day in the calendar")
    return None


def _exists(moment: str) -> bool:
    """Whether the day of a well-formed moment is one of the calendar.

    The shape has checked the clock already; a moment without a day always exists.
    """
    numbers = _NUMBER.findall(_CLOCK_PART.sub("", moment))
    if not numbers:
        return True
    if len(numbers[0]) < _YEAR_DIGITS:
        numbers = [_ANY_YEAR, *numbers]
    year, month, day = (int(number) for number in (*numbers, "1")[:3])
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _fault(name: str, reason: str, msg: str) -> FieldFault:
    return FieldFault(f"data.{name}"[:64], reason, msg)
