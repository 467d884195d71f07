"""No field of any body takes a value of another type, however empty it looks."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import pytest

from models.errors import InvalidInput
from web.app import PUBLIC_ROUTES
from web.ops_app import ADMIN_ROUTES
from web.strict_json import parse_object
from web.validation import read_struct

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask.testing import FlaskClient

    from tests.unit.web.seams import House

# One of each kind that JSON knows, as lax readers take for "nothing" or for a number.
VALUES: dict[str, Any] = {
    "array": [],
    "object": {},
    "text": "",
    "number": 0,
    "truth": False,
    "half": 0.5,
}


def kinds(wanted: Any) -> set[str]:
    """Return the kinds of JSON values that a declared type may take."""
    origin = get_origin(wanted)
    if origin is Annotated:
        return kinds(get_args(wanted)[0])
    if origin in {Union, types.UnionType}:
        return set().union(*map(kinds, get_args(wanted)))
    if origin is Literal:
        return set().union(*(kinds(type(word)) for word in get_args(wanted)))
    if wanted in {None, type(None), msgspec.UnsetType}:
        return set()
    if origin is dict or (
        isinstance(wanted, type) and issubclass(wanted, msgspec.Struct)
    ):
        return {"object"}
    return {str: {"text"}, int: {"number"}, float: {"number", "half"}}[wanted]


def fields(
    kind: type[msgspec.Struct], before: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield path and type of each field, those of inner objects too."""
    for field in msgspec.structs.fields(kind):
        path = (*before, field.encode_name)
        yield path, field.type
        for inner in get_args(field.type) or (field.type,):
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                yield from fields(inner, path)


CASES = [
    pytest.param(route.body, path, word, id=f"{route.name} {'.'.join(path)} {word}")
    for route in (*PUBLIC_ROUTES, *ADMIN_ROUTES)
    if route.body is not None
    for path, wanted in fields(route.body)
    for word in sorted(VALUES.keys() - kinds(wanted))
]


@pytest.mark.parametrize(("body", "path", "word"), CASES)
def test_a_value_of_another_type_is_refused_by_its_field(
    body: type[msgspec.Struct], path: tuple[str, ...], word: str
) -> None:
    value: Any = VALUES[word]
    for name in reversed(path):
        value = {name: value}

    with pytest.raises(InvalidInput) as error:
        read_struct(body, parse_object(msgspec.json.encode(value), 32))

    faults = {fault.field: fault.reason for fault in error.value.faults}
    assert faults[".".join(path)] == "wrong_type"


@pytest.mark.parametrize("path", ["login", "guest"])
@pytest.mark.parametrize("word", sorted(VALUES.keys() - {"object"}))
def test_a_device_that_is_no_object_logs_nobody_in(
    client: FlaskClient, house: House, path: str, word: str
) -> None:
    code = {"code": "abc"} if path == "login" else {}
    sent = {**code, "device": VALUES[word]}

    answer = client.post(f"/api/v1/auth/{path}", json=sent)

    assert answer.status_code == 400
    body = answer.get_json()
    assert body["reason"] == "validation_failed"
    assert [fault["field"] for fault in body["errors"]] == ["device"]
    assert house.sessions.logins == []
