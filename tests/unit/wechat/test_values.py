"""WeChat's rules for message values: each type's edge on both sides."""

from __future__ import annotations

import pytest

from wechat.simulator.values import RULES, check_values
from wechat.simulator.wire import Refused

GOOD = {
    "thing": ["快", "a" * 20, "混 mix 9!"],
    "number": ["0", "12.50", "-3", "9" * 32],
    "letter": ["abcXYZ"],
    "symbol": ["!?#", "￥"],
    "character_string": ["A-1_2.3/4", "9" * 32],
    "time": ["08:30", "2026-01-02 10:00", "2026年1月2日 23:59:59", "08:00~09:30"],
    "date": ["2026-01-02", "2026年1月2日", "2026/01", "1月2日", "2026.1.2 10:00"],
    "amount": ["¥12.50", "100元", "1234567890"],
    "phone_number": ["+86-0766-66888866", "13800138000"],
    "car_number": ["粤A8Z888挂", "粤A12345"],
    "name": ["张三", "A" * 20, "阿" * 10],
    "phrase": ["已发货", "五个汉字呀"],
    "enum_string": ["进行中"],
}
BAD = {
    "thing": ["a" * 21, "line\nbreak", "tab\there"],
    "number": ["1e5", "9" * 33, "一"],
    "letter": ["abc1", "中"],
    "symbol": ["a", "!!!!!!"],
    "character_string": ["订单1", "9" * 33],
    "time": ["25:00", "10:60", "soon", "08:00\uff5e09:00"],
    "date": ["tomorrow", "2026-01-02T10:00"],
    "amount": ["12345678901", "x5"],
    "phone_number": ["1" * 18, "电话"],
    "car_number": ["粤A12345678"],
    "name": ["A" * 21, "阿" * 11],
    "phrase": ["六个汉字多了", "ok"],
    "enum_string": ["x" * 21],
}


@pytest.mark.parametrize(("kind", "value"), [(k, v) for k in GOOD for v in GOOD[k]])
def test_a_value_inside_the_rule_is_taken(kind, value) -> None:
    check_values({f"{kind}1": {"value": value}}, (f"{kind}1",))


@pytest.mark.parametrize(("kind", "value"), [(k, v) for k in BAD for v in BAD[k]])
def test_a_value_outside_the_rule_is_47003_and_names_the_field(kind, value) -> None:
    with pytest.raises(Refused) as caught:
        check_values({f"{kind}1": {"value": value}}, (f"{kind}1",))

    assert caught.value.errcode == 47003
    assert f"data.{kind}1.value" in caught.value.errmsg


def test_every_type_has_examples_here() -> None:
    assert set(RULES) == set(GOOD) == set(BAD)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"thing1": "flat"},
        {"thing1": {"value": ""}},
        {"thing1": {"value": None}},
        {"thing1": {"value": ["x"]}},
        {"thing1": {"value": "x"}, "thing9": {"value": "x"}},
    ],
)
def test_data_of_the_wrong_shape_is_47003(data) -> None:
    with pytest.raises(Refused) as caught:
        check_values(data, ("thing1",))

    assert caught.value.errcode == 47003


def test_a_number_may_be_a_json_number() -> None:
    check_values({"number1": {"value": 12.5}}, ("number1",))
