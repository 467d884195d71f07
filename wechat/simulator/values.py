"""WeChat's rules for the values of a subscribe message, by type of field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from wechat.simulator.wire import Refused

_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff"
_DAY = r"(?:\d{4}年\d{1,2}月\d{1,2}日|\d{4}[-/.]\d{1,2}[-/.]\d{1,2})"
_PART_OF_DAY = (
    rf"(?:{_DAY}|\d{{4}}年\d{{1,2}}月|\d{{1,2}}月\d{{1,2}}日"
    r"|\d{4}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2})"
)
_HOUR = r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?"
_TIME = rf"(?:{_DAY}\s?)?{_HOUR}"
_DATE = rf"{_PART_OF_DAY}(?:\s?{_HOUR})?"

_SHAPES: Final[dict[str, re.Pattern[str]]] = {
    "thing": re.compile(r".{1,20}"),
    "number": re.compile(r"(?=.{1,32}$)-?\d+(?:\.\d+)?"),
    "letter": re.compile(r"[A-Za-z]{1,32}"),
    "symbol": re.compile(rf"[^A-Za-z0-9\s{_CHINESE}]{{1,5}}"),
    "character_string": re.compile(r"[\x20-\x7e]{1,32}"),
    "time": re.compile(rf"{_TIME}(?:~{_TIME})?"),
    "date": re.compile(rf"{_DATE}(?:~{_DATE})?"),
    "amount": re.compile(r"[¥$€£￥]?\d{1,10}(?:\.\d+)?元?"),
    "phone_number": re.compile(r"[0-9+\-()#* ]{1,17}"),
    "car_number": re.compile(
        rf"[{_CHINESE}A-Za-z0-9][A-Za-z0-9]{{0,6}}[{_CHINESE}A-Za-z0-9]?"
    ),
    "phrase": re.compile(rf"[{_CHINESE}]{{1,5}}"),
    "enum_string": re.compile(r".{1,20}"),
}
_HAN = re.compile(rf"[{_CHINESE}]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")
_NAME_HAN, _NAME_PLAIN = 10, 20


def _name(value: str) -> bool:
    # Mixed names count as Chinese ones.
    return len(value) <= (_NAME_HAN if _HAN.search(value) else _NAME_PLAIN)


def _shape(kind: str) -> Callable[[str], bool]:
    pattern = _SHAPES[kind]
    return lambda value: pattern.fullmatch(value) is not None


RULES: Final[dict[str, Callable[[str], bool]]] = {
    **{kind: _shape(kind) for kind in _SHAPES},
    "name": _name,
}


def check_values(data: object, fields: tuple[str, ...]) -> None:
    """Refuse with 47003, naming the field, unless ``data`` fills ``fields``."""
    if not isinstance(data, Mapping):
        raise Refused(47003, "argument invalid! data is not an object")
    for extra in data.keys() - set(fields):
        raise Refused(47003, f"argument invalid! data.{extra} is not in the template")
    for name in fields:
        _check(name, data.get(name))


def _check(name: str, entry: object) -> None:
    value = entry.get("value") if isinstance(entry, Mapping) else None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if value is None or value == "":
        # Misspelt as WeChat does.
        raise Refused(47003, f"argument invalid! data.{name}.value is emtpy")
    fits = RULES[name.rstrip("0123456789")]
    if not isinstance(value, str) or _CONTROL.search(value) or not fits(value):
        raise Refused(47003, f"argument invalid! data.{name}.value invalid")
