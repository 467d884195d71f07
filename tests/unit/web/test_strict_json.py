"""JSON that is refused, and that all other JSON survives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from models.errors import InvalidInput
from web.strict_json import parse_object

DEPTH = 32
DEEP = b'{"a":' + b"[" * 40 + b"]" * 40 + b"}"
VERY_DEEP = b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}"

HOSTILE = {
    "empty": b"",
    "list": b"[]",
    "number": b"1",
    "two values": b"{}{}",
    "trailing": b'{"a":1}x',
    "byte order mark": b"\xef\xbb\xbf{}",
    "NaN": b'{"a":NaN}',
    "Infinity": b'{"a":-Infinity}',
    "float overflow": b'{"a":1e400}',
    "endless integer": b'{"a":' + b"9" * 5000 + b"}",
    "leading zero": b'{"a":01}',
    "duplicate": b'{"a":1,"a":2}',
    "duplicate by escape": b'{"\\u0061":1,"a":2}',
    "duplicate inside": b'{"a":[{"b":1,"b":1}]}',
    "high surrogate": b'{"a":"\\ud800"}',
    "high surrogate then text": b'{"a":"\\ud800 and more text"}',
    "low surrogate": b'{"a":"\\udc00 and more text"}',
    "surrogate in a key": b'{"\\ud800xxxxxx":1}',
    "encoded surrogate": b'{"a":"\xed\xa0\x80"}',
    "latin-1": b'{"a":"\xff"}',
    "latin-1 key": b'{"\xff":1}',
    "raw control": b'{"a":"\x01"}',
    "single quotes": b"{'a':1}",
    "comment": b'{"a":1/*x*/}',
    "deep": DEEP,
    "very deep": VERY_DEEP,
    "open string": b'{"a":"' + b'\\"' * 30_000,
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_refuses_hostile_json(body: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_object(body, DEPTH)
    assert caught.value.reason == "invalid_json"


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b' {"a" : {"b": [1, 2.5, null, true, "x:{}[]\\"\\\\"]}} ',
        b'{"a":"\\ud83d\\ude00","b":"\xe4\xbd\xa0"}',
        b'{"a":' + b"[" * 31 + b"]" * 31 + b"}",
        b'{"a":[' + b"[]," * 100 + b"[]]}",
    ],
)
def test_accepts_what_is_json(body: bytes) -> None:
    assert parse_object(body, DEPTH) == json.decode(body)


def test_a_whole_number_is_one_however_it_is_written() -> None:
    body = b'{"a":[22,22.0,2.2e1,-0.0,22.5,1e300]}'

    told = parse_object(body, DEPTH)["a"]

    assert told == [22, 22, 22, 0, 22.5, 1e300]
    assert [type(number) for number in told] == [int] * 4 + [float] * 2


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), values))
def test_any_object_survives_the_way(value: dict[str, object]) -> None:
    assert parse_object(json.encode(value), 200) == value
