"""Sealed fields: only the owner, the purpose and the key together open a blob."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.sealing import (
    NONCE_BYTES,
    IdentityHasher,
    Sealer,
    Unsealable,
    derive_key,
    sealer_for,
)

DATA_KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))
OWNERS = st.text(max_size=40)


@given(plain=st.binary(max_size=300), owner=OWNERS)
def test_what_was_sealed_comes_back(plain: bytes, owner: str) -> None:
    sealer = Sealer(DATA_KEY, "p")

    assert sealer.unseal(sealer.seal(plain, owner), owner) == plain


@given(plain=st.binary(max_size=60), owner=OWNERS, other=OWNERS)
def test_a_blob_moved_to_another_owner_stays_shut(
    plain: bytes, owner: str, other: str
) -> None:
    sealer = Sealer(DATA_KEY, "p")
    blob = sealer.seal(plain, owner)

    if owner != other:
        with pytest.raises(Unsealable):
            sealer.unseal(blob, other)


@given(data=st.data(), plain=st.binary(max_size=60))
def test_one_changed_bit_anywhere_shuts_the_blob(
    data: st.DataObject, plain: bytes
) -> None:
    sealer = Sealer(DATA_KEY, "p")
    blob = bytearray(sealer.seal(plain, "owner"))
    at = data.draw(st.integers(0, len(blob) * 8 - 1))
    blob[at // 8] ^= 1 << at % 8

    with pytest.raises(Unsealable):
        sealer.unseal(bytes(blob), "owner")


@given(data=st.data())
def test_a_cut_blob_stays_shut(data: st.DataObject) -> None:
    sealer = Sealer(DATA_KEY, "p")
    blob = sealer.seal(b"plain", "owner")
    length = data.draw(st.integers(0, len(blob) - 1))

    with pytest.raises(Unsealable):
        sealer.unseal(blob[:length], "owner")


@given(blob=st.binary(max_size=80))
def test_any_bytes_are_either_opened_or_refused(blob: bytes) -> None:
    with pytest.raises(Unsealable):
        Sealer(DATA_KEY, "p").unseal(blob, "owner")


def test_another_purpose_or_key_does_not_open() -> None:
    blob = Sealer(DATA_KEY, "wechat-key").seal(b"x", "owner")

    for stranger in (Sealer(DATA_KEY, "access-token"), Sealer(OTHER_KEY, "wechat-key")):
        with pytest.raises(Unsealable):
            stranger.unseal(blob, "owner")


def test_equal_plain_texts_look_different() -> None:
    sealer = Sealer(DATA_KEY, "p")
    blobs = {sealer.seal(b"same", "owner") for _ in range(50)}
    nonces = {blob[1 : 1 + NONCE_BYTES] for blob in blobs}

    assert len(blobs) == len(nonces) == 50
    assert not any(b"same" in blob for blob in blobs)


def test_the_sealer_of_the_settings_uses_their_data_key(settings) -> None:
    blob = sealer_for(settings.secrets, "p").seal(b"x", "o")

    assert Sealer(settings.secrets.data_key, "p").unseal(blob, "o") == b"x"


@given(master=st.binary(min_size=32, max_size=32))
def test_derived_keys_differ_by_purpose(master: bytes) -> None:
    keys = {derive_key(master, purpose) for purpose in ("a", "b", "ab", "")}

    assert len(keys) == 4
    assert all(len(key) == 32 for key in keys)


@given(app=st.text(max_size=20), openid=st.text(max_size=30))
def test_a_person_has_one_id_in_an_app(app: str, openid: str) -> None:
    made = IdentityHasher(DATA_KEY).user_id(app, openid)

    assert made == IdentityHasher(DATA_KEY).user_id(app, openid)
    assert made != IdentityHasher(OTHER_KEY).user_id(app, openid)
    assert made.startswith("u_")
    assert len(made) == 28


def test_ids_of_other_apps_and_people_differ() -> None:
    hasher = IdentityHasher(DATA_KEY)
    pairs = [("wx1", "o1"), ("wx1", "o2"), ("wx2", "o1"), ("wx1o", "1")]

    assert len({hasher.user_id(*pair) for pair in pairs}) == len(pairs)


def test_a_blind_index_is_of_one_kind() -> None:
    hasher = IdentityHasher(DATA_KEY)

    assert hasher.look_up("openid", "x") != hasher.look_up("unionid", "x")
    assert hasher.look_up("openid", "x") == hasher.look_up("openid", "x")
    assert "x" not in hasher.look_up("openid", "x")
