"""Open data: WeChat's published vector, and every way in which input can be wrong."""

from __future__ import annotations

import base64
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wechat import open_data as module
from wechat.crypto import WatermarkMismatch, seal_open_data
from wechat.open_data import OpenData, SealedData, open_sealed

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


OPENID = "oGZUI0egBJY1zhBYw2KhdUfwVJJE"
OTHER_KEY = base64.b64encode(b"another-key-here").decode()


def opened(data: str = DATA, iv: str = IV, *keys: str) -> OpenData | None:
    return open_sealed(SealedData(data, iv), keys or (KEY,))


def sealed(plain: bytes, key: str = KEY) -> str:
    return seal_open_data(plain, session_key=key, iv=base64.b64decode(IV))


def inside(plain: bytes) -> OpenData:
    found = opened(sealed(plain))
    assert found is not None
    return found


def marked(extra: bytes = b'"a":1', appid: str = APP, at: int = THEN_MS) -> bytes:
    mark = f'{{"appid":"{appid}","timestamp":{at // 1000}}}'
    return b'{%s,"watermark":%s}' % (extra, mark.encode())


def test_the_published_vector_opens() -> None:
    found = opened()

    assert found is not None
    assert found.content["openId"] == OPENID
    assert found.content["nickName"] == "Band"
    assert found.content["unionId"] == "ocMvos6NjeKLIBqg5Mr9QjxrP1FA"
    found.check(APP, OPENID, THEN_MS)


def test_base64_that_a_form_post_damaged_is_repaired() -> None:
    damaged = DATA.replace("+", " ")
    lines = "\r\n".join(damaged[i : i + 76] for i in range(0, len(damaged), 76))

    assert opened(lines.rstrip("="), IV.rstrip("=")) is not None


@pytest.mark.parametrize(
    "spelt",
    [
        DATA.replace("+", "-").replace("/", "_"),
        quote(DATA, safe=""),
        quote(DATA, safe="").replace("%2B", "%2b").replace("%3D", "%3d"),
        f"\t{DATA}\t",
    ],
    ids=["url-safe", "percent", "small percent", "tabs"],
)
def test_base64_in_other_spellings_is_read(spelt: str) -> None:
    assert spelt != DATA
    assert opened(spelt) == opened()


@given(st.binary(max_size=300))
def test_base64_is_read_however_it_was_broken(data: bytes) -> None:
    text = base64.encodebytes(data).decode().replace("+", " ")

    assert module._decoded(text.replace("\n", "\r\n")) == (bytearray(data), True)


@pytest.mark.parametrize("moved_ms", [-120_000, 0, 600_000])
def test_a_watermark_inside_the_window_is_taken(moved_ms: int) -> None:
    inside(marked()).check(APP, OPENID, THEN_MS + moved_ms)


@pytest.mark.parametrize("moved_ms", [-121_000, 601_000])
def test_a_watermark_outside_the_window_is_refused(moved_ms: int) -> None:
    with pytest.raises(WatermarkMismatch):
        inside(marked()).check(APP, OPENID, THEN_MS + moved_ms)


@pytest.mark.parametrize(
    "plain",
    [
        b"{}",
        b'{"openId":"o1"}',
        b'{"phoneNumber":"13800008000"}',
        b'{"stepInfoList":[]}',
        b'{"stepInfoList":[],"watermark":null}',
        b'{"opengid":"g"}',
        b'{"openGId":"g"}',
        b'{"activityId":"a"}',
        b'{"watermark":null}',
        b'{"watermark":{"appid":"wxother","timestamp":1477314187}}',
        b'{"watermark":{"appid":"wx4f4bc4dec97d474b"}}',
        b'{"watermark":{"appid":"wx4f4bc4dec97d474b","timestamp":"1477314187"}}',
        b'{"watermark":{"appid":"wx4f4bc4dec97d474b","timestamp":true}}',
    ],
)
def test_data_without_our_own_watermark_is_refused(plain: bytes) -> None:
    with pytest.raises(WatermarkMismatch):
        inside(plain).check(APP, OPENID, THEN_MS)


def test_the_watermark_of_every_kind_is_looked_at() -> None:
    inside(marked(b'"opengid":"g"')).check(APP, OPENID, THEN_MS)
    with pytest.raises(WatermarkMismatch):
        inside(marked(b'"opengid":"g"', appid="wxother")).check(APP, OPENID, THEN_MS)


@pytest.mark.parametrize("openid", [b'"o-other"', b"null", b"7"])
def test_data_of_another_person_is_refused(openid: bytes) -> None:
    with pytest.raises(WatermarkMismatch):
        inside(marked(b'"openId":' + openid)).check(APP, OPENID, THEN_MS)


@pytest.mark.parametrize(
    ("plain", "kind"),
    [
        (b'{"openId":"o"}', "user_info"),
        (b'{"nickName":"n"}', "user_info"),
        (b'{"purePhoneNumber":"1"}', "phone"),
        (b'{"stepInfoList":[]}', "steps"),
        (b'{"openGId":"g"}', "group"),
        (b'{"activityId":"a"}', "message"),
    ],
)
def test_a_kind_is_known_by_its_content(plain: bytes, kind: str) -> None:
    assert inside(plain).kind == kind


@pytest.mark.parametrize("plain", [b"", b"[]", b"null", b"{", b'"text"', b"\xff\xfe{}"])
def test_a_text_that_is_no_json_object_is_nothing(plain: bytes) -> None:
    assert opened(sealed(plain)) is None


@pytest.mark.parametrize(
    ("data", "iv", "key"),
    [
        ("", IV, KEY),
        (DATA[:-4], IV, KEY),
        (DATA[:40] + "!" + DATA[40:], IV, KEY),
        (DATA, "", KEY),
        (DATA, "AAAA", KEY),
        (DATA, IV + "AAAA", KEY),
        (DATA, IV, ""),
        (DATA, IV, "AAAA"),
        (DATA, IV, "A" * 22 + "=="),
        ("不是", IV, KEY),
        ("\ud800", IV, KEY),
        ("A" * 70_000, IV, KEY),
        (DATA, IV, base64.b64encode(b"k" * 32).decode()),
    ],
)
def test_every_wrong_part_is_nothing(data: str, iv: str, key: str) -> None:
    assert opened(data, iv, key) is None


def test_padding_is_checked_to_the_last_byte() -> None:
    # The iv is the block before the first one: changing it changes the padding.
    plain = b'{"a":1}'
    for place in range(len(plain), 15):
        iv = bytearray(base64.b64decode(IV))
        iv[place] ^= 1
        assert opened(sealed(plain), base64.b64encode(iv).decode()) is None


@given(st.text(max_size=200), st.text(max_size=40), st.text(max_size=40))
def test_random_text_never_raises(data: str, iv: str, key: str) -> None:
    assert opened(data, iv, key) is None


@given(
    st.binary(min_size=1, max_size=20).map(lambda b: (b * 16)[: len(b) * 16]),
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=16, max_size=16),
)
def test_random_ciphers_of_the_right_length_never_raise(
    data: bytes, iv: bytes, key: bytes
) -> None:
    parts = [base64.b64encode(part).decode() for part in (data, iv, key)]

    found = opened(*parts)

    assert found is None or isinstance(found.content, dict)


def test_the_previous_key_opens_what_the_current_one_does_not() -> None:
    found = opened(DATA, IV, OTHER_KEY, KEY)

    assert found is not None
    assert found.session_key == KEY
    assert opened(DATA, IV, KEY, OTHER_KEY) == OpenData(found.content, KEY)


@pytest.mark.parametrize(
    "data",
    [DATA, "", "!", "AAAA", DATA[:-4], "A" * 64, sealed(b"[]"), sealed(b"{")],
    ids=["good", "empty", "base64", "length", "cut", "padding", "object", "json"],
)
@pytest.mark.parametrize("keys", [(), (KEY,), (OTHER_KEY, KEY)], ids=len)
def test_whatever_is_wrong_two_keys_are_tried(
    data: str, keys: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    real = module._deciphered

    def counted(cipher: bytearray, *rest: bytearray) -> object:
        tried.append(len(cipher))
        return real(cipher, *rest)

    monkeypatch.setattr(module, "_deciphered", counted)
    open_sealed(SealedData(data, IV), keys)

    assert len(tried) == 2
    assert all(length and length % 16 == 0 for length in tried)


def test_plain_text_and_keys_are_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytearray] = []
    real = module._parsed

    def kept(plain: bytearray) -> object:
        seen.append(plain)
        return real(plain)

    monkeypatch.setattr(module, "_parsed", kept)
    assert opened() is not None

    assert [any(plain) for plain in seen] == [False, False]


def test_no_repr_shows_what_is_inside() -> None:
    shown = repr(SealedData(DATA, IV)) + repr(opened())

    assert re.search(r"Band|oGZ|tiiht|CiyL|r7BX", shown) is None
