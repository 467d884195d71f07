"""WeChat's field rules: what passes here passes there, and faults name fields."""

from __future__ import annotations

import pytest

from config.notification_templates import FIELD_LIMITS, TEMPLATES, Field, Template
from models.template_data import faults_of
from wechat.simulator.values import RULES, check_values

LEGAL = {
    "thing": ["x", "快递已发出, 请查收!", "字" * 20, "a b"],
    "number": ["0", "-1.50", "1" * 32],
    "letter": ["A", "z" * 32],
    "symbol": ["!", "★☆-+%"],
    "character_string": ["A-1", "~" * 32, "order #1"],
    "time": [
        "09:30",
        "2026-11-26 9:05:59",
        "2026年1月2日 10:30",
        "10:30~11:00",
        "2028-02-29 10:00~23:59",
        "2026-1-1210:00",
    ],
    "date": [
        "2026-11-26",
        "2026年11月",
        "11/26",
        "1月2日~1月3日",
        "2026.1.2 10:30",
        "2月29日",
        "2028年02月29日",
        "12-31 23:59:59",
    ],
    "amount": ["12", "¥12.50", "1234567890元", "￥0.01元"],
    "phone_number": ["+86-10 12345", "12345678901234567"],
    "car_number": ["粤A12345", "A1", "京A1234学"],
    "name": ["张三", "王" * 10, "A" * 20],
    "phrase": ["已发货", "字" * 5],
    "enum_string": ["ready"],
}
ILLEGAL = {
    "thing": ["", " ", "字" * 21, "a\nb", "a\u2028b", "\x85"],
    "number": ["1.", "one", "\uff11", "1" * 33, "1,000"],
    "letter": ["a1", "é", "a" * 33],
    "symbol": ["a", "!!!!!!", "快"],
    "character_string": ["快", "é", "a" * 33, "a\t"],
    "time": [
        "24:00",
        "9:60",
        "2026-11/26 9:00",
        "10:30\uff5e11:00",
        "soon",
        "9:30 ",
        "2026-02-30 10:00",
        "2026年02月30日 10:00",
        "2026-1-31 9:00~2026-04-31 9:00",
        "0000-01-01 9:00",
    ],
    "date": [
        "2026",
        "26:10",
        "2026-11-26~",
        "tomorrow",
        "2026-13-01",
        "2026年13月",
        "2026年02月29日",
        "2月30日",
        "11/31",
        "2026-00-10",
        "2026-01-30~2026-02-30",
        "13-01",
        "2026-02-30 10:00",
    ],
    "amount": ["$$1", "1.5.0", "12345678901", "1 元", "-1"],
    "phone_number": ["1" * 18, "phone"],
    "car_number": ["粤A1234567", "粤粤A123粤粤"],
    "name": ["王" * 11, "A" * 21, "Li 李" + "x" * 7],
    "phrase": ["OK", "字" * 6, "已,发"],
    "enum_string": ["x" * 21],
}


def cases(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(kind, value) for kind, values in table.items() for value in values]


def faults(kind: str, value: object) -> list[tuple[str, str]]:
    name = f"{kind}1"
    template = Template("t", "id", "title", (Field(name, "a field"),), "page")
    return [(f.field, f.reason) for f in faults_of(template, {name: value})]


def test_there_is_a_rule_for_every_kind_wechat_has() -> None:
    assert set(FIELD_LIMITS) == set(RULES) == set(LEGAL) == set(ILLEGAL)


@pytest.mark.parametrize(("kind", "value"), cases(LEGAL))
def test_legal_values_pass_here_and_at_wechat(kind: str, value: str) -> None:
    assert faults(kind, value) == []
    check_values({f"{kind}1": {"value": value}}, (f"{kind}1",))


@pytest.mark.parametrize(("kind", "value"), cases(ILLEGAL))
def test_illegal_values_name_their_field(kind: str, value: str) -> None:
    (fault,) = faults(kind, value)

    assert fault[0] == f"data.{kind}1"
    assert fault[1] in {"invalid", "out_of_range"}


@pytest.mark.parametrize("value", [1, None, True, ["x"], {"value": "x"}])
def test_only_text_is_a_value(value: object) -> None:
    assert faults("thing", value) == [("data.thing1", "wrong_type")]


def test_data_fills_exactly_the_template() -> None:
    data = {"thing1": "x" * 21, "time2": "9:30", "extra": "x"}

    found = faults_of(TEMPLATES["appointment"], data)

    assert [(fault.field, fault.reason) for fault in found] == [
        ("data.thing1", "out_of_range"),
        ("data.thing3", "missing"),
        ("data.extra", "unknown_field"),
    ]
