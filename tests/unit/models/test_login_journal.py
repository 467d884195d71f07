"""Logins as sealed text in an outbox row: readable by that row's task only."""

from __future__ import annotations

import msgspec
import pytest

from models.device_info import DeviceInfo
from models.login_entry import LoginEntry
from models.login_journal import (
    JournaledLogin,
    WeChatNames,
    seal_bytes,
    seal_login,
    unseal_login,
)
from models.sealing import Sealer, Unsealable

SEALER = Sealer(bytes(32), "login-journal")
ENTRY = LoginEntry(
    id="lg_1",
    kind="login",
    user_id="u_1",
    app_id="wx1",
    session_id="se_1",
    at=1,
    expires_at=2,
    device=DeviceInfo(id="phone", model="红米"),
)
LOGIN = JournaledLogin(ENTRY, WeChatNames("openid-1", "unionid-1"))


def test_a_login_survives_the_payload() -> None:
    payload = seal_login(SEALER, LOGIN)

    assert unseal_login(SEALER, payload, "lg_1") == LOGIN
    assert "openid-1" not in payload


def test_a_row_of_an_earlier_release_is_read_without_its_session_key() -> None:
    secrets = {"openid": "openid-1", "session_key": "key-1", "unionid": "unionid-1"}
    row = {"entry": msgspec.to_builtins(ENTRY), "secrets": secrets}
    payload = seal_bytes(SEALER, msgspec.json.encode(row), "lg_1")

    assert unseal_login(SEALER, payload, "lg_1") == LOGIN


def test_a_payload_under_another_row_stays_shut() -> None:
    with pytest.raises(Unsealable):
        unseal_login(SEALER, seal_login(SEALER, LOGIN), "lg_2")


@pytest.mark.parametrize("payload", ["", "not base64!", "AAAA", "快"])
def test_nonsense_is_refused(payload: str) -> None:
    with pytest.raises((Unsealable, ValueError)):
        unseal_login(SEALER, payload, "lg_1")


def test_sealed_bytes_of_another_shape_are_refused() -> None:
    payload = seal_bytes(SEALER, b'{"entry": 1}', "lg_1")

    with pytest.raises(msgspec.DecodeError):
        unseal_login(SEALER, payload, "lg_1")


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": "x" * 41},
        {"kind": "visit"},
        {"at": -1},
        {"generation": 0},
        {"ip": "1" * 46},
        {"device": {"id": "tab\tin it"}},
    ],
    ids=str,
)
def test_an_entry_that_no_column_could_hold_is_refused(
    change: dict[str, object],
) -> None:
    plain = {**msgspec.to_builtins(ENTRY), **change}

    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(plain), type=LoginEntry)
