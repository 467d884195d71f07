"""What is left of numbers and names in an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.masking import mask_id, mask_phone, masked


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("13800008000", "138****8000"),
        ("+447911123456", "+44****3456"),
        ("61234567", "61****67"),
        ("1234567", "****"),
        ("", "****"),
    ],
)
def test_a_phone_shows_its_ends(number: str, shown: str) -> None:
    assert mask_phone(number) == shown


@given(st.text(alphabet="0123456789", max_size=20))
def test_four_digits_of_a_phone_at_least_stay_hidden(number: str) -> None:
    shown = mask_phone(number).replace("****", "")

    assert len(shown) <= max(0, len(number) - 4)


def test_an_openid_shows_its_ends() -> None:
    assert mask_id("oGZUI0egBJY1zhBYw2KhdUfwVJJE") == "oGZ****JJE"
    assert mask_id("short") == "****"


def test_open_data_is_masked_at_every_depth_and_otherwise_left_alone() -> None:
    given = {
        "openId": "oGZUI0egBJY1zhBYw2KhdUfwVJJE",
        "nickName": "Band",
        "gender": 1,
        "list": [{"purePhoneNumber": 13800008000}, {"step": 100}],
        "watermark": {"appid": "wx1", "timestamp": 1},
    }

    assert masked(given) == {
        **given,
        "openId": "oGZ****JJE",
        "list": [{"purePhoneNumber": "138****8000"}, {"step": 100}],
    }


def test_endless_nesting_is_cut_off() -> None:
    deep: dict[str, object] = {}
    for _ in range(900):
        deep = {"a": deep}

    assert "****" in str(masked(deep))
