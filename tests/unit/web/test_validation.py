"""Bodies and queries: every bad field is named."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from models.errors import InvalidInput
from web.fields import HttpsUrl, LoginCode, Text
from web.validation import read_query, read_struct


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    id: Annotated[str, Meta(min_length=1, max_length=4)]
    count: Annotated[int, Meta(ge=0, le=5)] = 0


class Body(msgspec.Struct, forbid_unknown_fields=True):
    code: LoginCode
    scope: Literal["a", "b"] = "a"
    inner: Inner | None = None


class Query(msgspec.Struct, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: Text | None = None


def faults(call: Any) -> tuple[str, list[tuple[str, str]]]:
    with pytest.raises(InvalidInput) as caught:
        call()
    error = caught.value
    return error.reason, [(fault.field, fault.reason) for fault in error.faults]


@pytest.mark.parametrize(
    ("value", "reason", "expected"),
    [
        ({}, "validation_failed", [("code", "missing")]),
        ({"code": 1}, "validation_failed", [("code", "wrong_type")]),
        ({"code": "a\n"}, "validation_failed", [("code", "invalid")]),
        ({"code": "a\x00"}, "validation_failed", [("code", "invalid")]),
        ({"code": "x" * 129}, "validation_failed", [("code", "out_of_range")]),
        ({"code": "x", "zz": 1}, "unknown_field", [("zz", "unknown_field")]),
        (
            {"code": "x", "inner": {"id": "a", "zz": 1}},
            "unknown_field",
            [("inner.zz", "unknown_field")],
        ),
        (
            {"code": "x", "inner": {"id": "a", "count": 6}},
            "validation_failed",
            [("inner.count", "out_of_range")],
        ),
        (
            {"code": "x", "inner": {"id": "a", "count": True}},
            "validation_failed",
            [("inner.count", "wrong_type")],
        ),
        ({"code": "x", "inner": {}}, "validation_failed", [("inner.id", "missing")]),
        (
            {"code": None, "scope": "secret"},
            "validation_failed",
            [("code", "wrong_type"), ("scope", "invalid")],
        ),
    ],
)
def test_names_every_bad_field(
    value: dict[str, Any], reason: str, expected: list[tuple[str, str]]
) -> None:
    assert faults(lambda: read_struct(Body, value)) == (reason, expected)


def test_does_not_repeat_what_the_client_sent() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_struct(Body, {"code": "x", "scope": "secret-value"})
    assert all("secret" not in fault.msg for fault in caught.value.faults)


def test_cuts_long_names_of_unknown_fields() -> None:
    _, told = faults(lambda: read_struct(Body, {"code": "x", "y" * 10_000: 1}))
    assert len(told[0][0]) == 64


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("limit=0", [("limit", "out_of_range")]),
        ("limit=101", [("limit", "out_of_range")]),
        ("limit=ten", [("limit", "wrong_type")]),
        ("limit=1.0", [("limit", "wrong_type")]),
        ("limit=1e1&cursor=%00", [("limit", "wrong_type"), ("cursor", "invalid")]),
        ("limit=%2B1", [("limit", "wrong_type")]),
        ("limit=1&limit=1", [("limit", "repeated")]),
        ("x=1", [("x", "unknown_field")]),
        ("cursor=%00", [("cursor", "invalid")]),
        ("cursor=%ff", [("query", "invalid")]),
        ("&".join(f"a{n}=1" for n in range(99)), [("query", "invalid")]),
    ],
)
def test_refuses_odd_queries(query: str, expected: list[tuple[str, str]]) -> None:
    told = faults(lambda: read_query(Query, query))
    assert told == ("validation_failed", expected)


def test_reads_queries() -> None:
    assert read_query(Query, "limit=7&cursor=a%20b") == Query(limit=7, cursor="a b")
    assert read_query(Query, "") == Query()
    assert read_query(None, "") is None


def test_a_route_without_query_knows_no_parameter() -> None:
    told = faults(lambda: read_query(None, "a=1"))
    assert told == ("validation_failed", [("a", "unknown_field")])


@pytest.mark.parametrize(
    "url",
    [
        "http://x.cn/a",
        "https://",
        "https://x.cn/a b",
        "https://x.cn/a\n",
        "https://user@x.cn/",
        "javascript:alert(1)",
        "https://x.cn/" + "a" * 512,
    ],
)
def test_refuses_odd_addresses(url: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(url, HttpsUrl)


def test_accepts_an_avatar_address() -> None:
    url = "https://thirdwx.qlogo.cn/mmopen/vi_32/abc-_123/132?x=1"
    assert msgspec.convert(url, HttpsUrl) == url
