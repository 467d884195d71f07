"""Open data: WeChat's published vector, and every way in which input can be wrong."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wechat.crypto import (
    DecryptFailed,
    OpenDataError,
    WatermarkMismatch,
    decrypt_open_data,
    lenient_base64,
    open_data,
    padded,
    raw_data_matches,
    seal_open_data,
    session_signature,
    sign_raw_data,
    unpadded,
)

# The vector of WeChat's own documents.
APP = "wx4f4bc4dec97d474b"
KEY = "tiihtNczf5v6AKRyjwEUhQ=="
IV = "r7BXXKkLb8qrSNn05n0qiA=="
DATA = (
    "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS9uT5geRa0W4oTOb1"
    "WT7fJlAC+oNPdbB+3hVbJSRgv+4lGOETKUQz6OYStslQ142dNCuabNPGBzlooOmB231qMM85d2/fV6Ch"
    "evvXvQP8Hkue1poOFtnEtpyxVLW1zAo6/1Xx1COxFvrc2d7UL/lmHInNlxuacJXwu0fjpXfz/YqYzBIB"
    "zD6WUfTIF9GRHpOn/Hz7saL8xz+W//FRAUid1OksQaQx4CMs8LOddcQhULW4ucetDf96JcR3g0gfRK4P"
    "C7E/r7Z6xNrXd2UIeorGj5Ef7b1pJAYB6Y5anaHqZ9J6nKEBvB4DnNLIVWSgARns/8wR2SiRS7MNACwT"
    "yrGvt9ts8p12PKFdlqYTopNHR1Vf7XjfhQlVsAJdNiKdYmYVoKlaRv85IfVunYzO0IKXsyl7JCUjCpoG"
    "20f0a04COwfneQAGGwd5oa+T8yO5hzuyDb/XcxxmK01EpqOyuxINew=="
)
THEN_MS = 1_477_314_187_000


def opened(data: str = DATA, iv: str = IV, key: str = KEY, now_ms: int = THEN_MS):
    return decrypt_open_data(data, iv, session_key=key, app_id=APP, now_ms=now_ms)


def sealed(plain: bytes) -> str:
    return seal_open_data(plain, session_key=KEY, iv=base64.b64decode(IV))


def test_the_published_vector_opens() -> None:
    found = opened()

    assert found["openId"] == "oGZUI0egBJY1zhBYw2KhdUfwVJJE"
    assert found["nickName"] == "Band"
    assert found["unionId"] == "ocMvos6NjeKLIBqg5Mr9QjxrP1FA"


def test_base64_that_a_form_post_damaged_is_repaired() -> None:
    damaged = DATA.replace("+", " ")
    lines = "\r\n".join(damaged[i : i + 76] for i in range(0, len(damaged), 76))

    assert opened(lines.rstrip("="))["nickName"] == "Band"


@pytest.mark.parametrize("moved_ms", [-120_000, 0, 600_000])
def test_a_watermark_inside_the_window_is_taken(moved_ms) -> None:
    assert opened(now_ms=THEN_MS + moved_ms)


@pytest.mark.parametrize("moved_ms", [-121_000, 601_000])
def test_a_watermark_outside_the_window_is_refused(moved_ms) -> None:
    with pytest.raises(WatermarkMismatch):
        opened(now_ms=THEN_MS + moved_ms)


@pytest.mark.parametrize(
    "plain",
    [
        b"{}",
        b'{"watermark":null}',
        b'{"watermark":{"appid":"wxother","timestamp":1477314187}}',
        b'{"watermark":{"appid":"wx4f4bc4dec97d474b"}}',
        b'{"watermark":{"appid":"wx4f4bc4dec97d474b","timestamp":"1477314187"}}',
        b'{"watermark":{"appid":"wx4f4bc4dec97d474b","timestamp":true}}',
    ],
)
def test_data_without_our_own_watermark_is_refused(plain) -> None:
    with pytest.raises(WatermarkMismatch):
        opened(sealed(plain))


@pytest.mark.parametrize("plain", [b"", b"[]", b"null", b"{", b'"text"', b"\xff\xfe{}"])
def test_a_text_that_is_no_json_object_is_the_one_error(plain) -> None:
    with pytest.raises(DecryptFailed):
        opened(sealed(plain))


@pytest.mark.parametrize(
    ("data", "iv", "key"),
    [
        ("", IV, KEY),
        (DATA[:-4], IV, KEY),
        (DATA, "AAAA", KEY),
        (DATA, IV, "AAAA"),
        (DATA, IV, "A" * 22 + "=="),
        ("不是", IV, KEY),
        ("A" * 70_000, IV, KEY),
        (DATA, IV, base64.b64encode(b"k" * 32).decode()),
    ],
)
def test_every_wrong_part_is_the_one_error(data, iv, key) -> None:
    with pytest.raises(DecryptFailed):
        opened(data, iv, key)


@given(st.text(max_size=200), st.text(max_size=40), st.text(max_size=40))
def test_random_text_never_escapes_the_one_error(data, iv, key) -> None:
    with pytest.raises(DecryptFailed):
        open_data(data, iv, session_key=key)


@given(
    st.binary(min_size=1, max_size=20).map(lambda b: (b * 16)[: len(b) * 16]),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=16, max_size=16),
)
def test_random_ciphers_of_the_right_length_never_escape_it(data, iv, key) -> None:
    parts = [base64.b64encode(part).decode() for part in (data, iv, key)]

    with pytest.raises(OpenDataError):
        decrypt_open_data(
            parts[0], parts[1], session_key=parts[2], app_id=APP, now_ms=THEN_MS
        )


@given(st.text())
def test_lenient_base64_gives_bytes_or_the_one_error(text) -> None:
    try:
        assert isinstance(lenient_base64(text), bytes)
    except DecryptFailed:
        return


@given(st.binary(max_size=300))
def test_lenient_base64_reads_what_base64_wrote_however_it_was_broken(data) -> None:
    text = base64.encodebytes(data).decode().replace("+", " ")

    assert lenient_base64(text.replace("\n", "\r\n")) == data


@given(st.binary(max_size=200), st.sampled_from([16, 32]))
def test_padding_comes_off_as_it_went_on(data, block) -> None:
    assert unpadded(padded(data, block), block) == data
    assert len(padded(data, block)) % block == 0


@pytest.mark.parametrize(
    "plain", [b"", b"x" * 15 + b"\x00", b"x" * 15 + b"\x11", b"x" * 14 + b"\x03\x02"]
)
def test_padding_is_checked_to_the_last_byte(plain) -> None:
    with pytest.raises(DecryptFailed):
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
