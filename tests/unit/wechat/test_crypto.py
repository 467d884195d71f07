"""The rules of WeChat's data: signatures and padding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wechat.crypto import (
    BadPadding,
    padded,
    raw_data_matches,
    session_signature,
    sign_raw_data,
    unpadded,
)

KEY = "tiihtNczf5v6AKRyjwEUhQ=="


@given(st.binary(max_size=200), st.sampled_from([16, 32]))
def test_padding_comes_off_as_it_went_on(data, block) -> None:
    assert unpadded(padded(data, block), block) == data
    assert len(padded(data, block)) % block == 0


@pytest.mark.parametrize(
    "plain", [b"", b"x" * 15 + b"\x00", b"x" * 15 + b"\x11", b"x" * 14 + b"\x03\x02"]
)
def test_padding_is_checked_to_the_last_byte(plain) -> None:
    with pytest.raises(BadPadding):
        unpadded(plain, 16)


def test_the_session_signature_is_lower_hex_over_nothing() -> None:
    # HMAC-SHA256 with the key's text, not its decoded bytes.
    signature = session_signature(KEY)

    assert len(signature) == 64
    assert signature == signature.lower()
    assert signature != session_signature(KEY[:-1])


def test_raw_data_is_signed_as_its_exact_text() -> None:
    raw = '{"nickName":"快答", "gender":0}'
    signature = sign_raw_data(raw, KEY)

    assert raw_data_matches(raw, KEY, signature)
    assert not raw_data_matches(raw.replace(", ", ","), KEY, signature)
    assert not raw_data_matches(raw, KEY, signature.upper())
    assert not raw_data_matches(raw, KEY, "签名")


def test_raw_data_with_a_lone_surrogate_is_only_a_mismatch() -> None:
    assert not raw_data_matches("\ud800", KEY, "0" * 40)
