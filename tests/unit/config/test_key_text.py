"""Keys from text: hex or PEM armour, never half of an asymmetric pair."""

import base64
import os

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from config.key_text import RetiredKey, key_of, parse_retired

KEY = bytes(range(32))


def armoured(raw: bytes, label: str = "SECRET KEY") -> str:
    text = base64.encodebytes(raw).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n"


@pytest.mark.parametrize(
    "text", [KEY.hex(), KEY.hex().upper(), f" {KEY.hex()}\n", armoured(KEY)]
)
def test_the_bytes_of_a_key(text):
    assert key_of(text) == KEY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ab" * 31,
        "zz" * 32,
        KEY.hex()[:-1],
        armoured(KEY[:31]),
        armoured(KEY).replace("END SECRET", "END OTHER"),
        "-----BEGIN SECRET KEY-----\n?\n-----END SECRET KEY-----",
    ],
)
def test_no_key(text):
    with pytest.raises(ValueError, match="at least 32"):
        key_of(text)


def halves():
    """Yield the texts of keys whose other half may be public, and of public ones."""
    pem = serialization.Encoding.PEM
    form, none = serialization.PrivateFormat, serialization.NoEncryption()
    for key in (
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(65537, 2048),
    ):
        yield key.private_bytes(pem, form.PKCS8, none).decode()
        yield key.private_bytes(pem, form.OpenSSH, none).decode()
        info = serialization.PublicFormat.SubjectPublicKeyInfo
        yield key.public_key().public_bytes(pem, info).decode()


@pytest.mark.parametrize("text", list(halves()))
def test_half_of_a_pair_is_no_secret_key(text):
    with pytest.raises(ValueError, match="asymmetric"):
        key_of(text)
    raw = base64.b64decode("".join(text.split("\n")[1:-2]))
    with pytest.raises(ValueError, match="asymmetric"):
        key_of(raw.hex())


def test_random_bytes_are_never_taken_for_a_pair():
    for second in range(256):
        raw = bytes((0x30, second)) + os.urandom(30)
        assert key_of(raw.hex()) == raw


def test_a_head_without_a_body_is_bytes_like_others():
    raw = bytes((0x30, 0x80 + 62)) + bytes(62)
    assert key_of(raw.hex()) == raw


def test_a_retired_key_may_name_its_end():
    assert parse_retired(KEY.hex()) == RetiredKey(KEY)
    text = f"{KEY.hex()} until 1700000000000\n"
    assert parse_retired(text) == RetiredKey(KEY, 1700000000000)
    assert parse_retired(f"{armoured(KEY)}until 170000000000") == RetiredKey(
        KEY, 170000000000
    )


@pytest.mark.parametrize("text", ["", "until 1700000000000", f"{KEY.hex()} until soon"])
def test_a_retired_key_is_a_key(text):
    with pytest.raises(ValueError, match="at least 32"):
        parse_retired(text)
