"""Message push: signatures and the envelope with its 32-byte padding."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wechat.push import (
    PushCipher,
    PushRefused,
    push_signature,
    push_signature_matches,
)

# The 43rd character has spare bits set, as most real keys do.
KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
APP = "wxdemo0000000001"


@given(st.binary(max_size=500))
def test_what_was_closed_opens(message) -> None:
    assert (
        PushCipher(KEY, APP).decrypt(PushCipher(KEY, APP).encrypt(message)) == message
    )


def test_every_padding_length_from_1_to_32_opens() -> None:
    cipher = PushCipher(KEY, APP)

    for size in range(64):
        assert cipher.decrypt(cipher.encrypt(b"x" * size)) == b"x" * size


def test_the_same_message_is_never_closed_alike_twice() -> None:
    cipher = PushCipher(KEY, APP)

    assert cipher.encrypt(b"m") != cipher.encrypt(b"m")
    fixed = b"0" * 16
    assert cipher.encrypt(b"m", prefix=fixed) == cipher.encrypt(b"m", prefix=fixed)


def test_a_message_for_another_app_is_refused() -> None:
    with pytest.raises(PushRefused):
        PushCipher(KEY, "wxother").decrypt(PushCipher(KEY, APP).encrypt(b"m"))


@given(st.text(max_size=300))
def test_random_text_is_one_refusal(text) -> None:
    with pytest.raises(PushRefused):
        PushCipher(KEY, APP).decrypt(text)


@given(st.binary(min_size=1, max_size=4))
def test_random_blocks_are_one_refusal(data) -> None:
    text = base64.b64encode(data * 32).decode()

    with pytest.raises(PushRefused):
        PushCipher(KEY, APP).decrypt(text)


def test_an_overlong_push_is_refused_unopened() -> None:
    with pytest.raises(PushRefused):
        PushCipher(KEY, APP).decrypt("A" * 1_100_000)


@pytest.mark.parametrize("key", ["", "short", "!" * 43, "a" * 44])
def test_a_key_that_is_not_the_consoles_is_refused(key) -> None:
    with pytest.raises(ValueError, match="43"):
        PushCipher(key, APP)


def test_a_signature_covers_token_time_nonce_and_the_encrypted_text() -> None:
    signature = push_signature("tok", "1700000000", "77", "ENC")
    parts = {"token": "tok", "timestamp": "1700000000", "nonce": "77"}

    assert push_signature_matches(signature, **parts, encrypted="ENC")
    assert not push_signature_matches(signature, **parts, encrypted="END")
    assert not push_signature_matches(signature, **parts)
    assert not push_signature_matches("é", **parts, encrypted="ENC")


def test_the_parts_are_sorted_as_bytes() -> None:
    assert push_signature("b", "a", "c") == push_signature("c", "b", "a")
